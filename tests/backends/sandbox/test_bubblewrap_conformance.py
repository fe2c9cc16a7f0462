"""The shipped suite of hostile programs against the real backend, and against no sandbox at all."""

import json
import os
import subprocess
import sys

from greylag.adapters.sandbox import hostile
from greylag.adapters.sandbox.conformance import run_checks
from greylag.adapters.sandbox.port import Probe


async def test_every_promise_is_kept(sandbox, tmp_path):
    checks = await run_checks(sandbox, tmp_path)
    assert [check for check in checks if not check.passed] == []
    assert len(checks) > 80
    assert sorted(os.listdir(tmp_path)) == ["state"]


async def test_a_backend_that_cannot_isolate_passes_nothing(tmp_path):
    class Unready:
        name = "unready"

        async def probe(self):
            return Probe(False, "no name spaces", "allow them")

    (check,) = await run_checks(Unready(), tmp_path)
    assert not check.passed
    assert "allow them" in check.detail


def test_the_suite_sees_what_is_open_without_a_sandbox(tmp_path):
    """A check that can't fail proves nothing: run the same program on the bare host, as an ordinary user."""
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    secret.write_text("x")
    facts = {
        "secret": "made-up", "variables": [], "hidden": [str(secret)], "platform_pid": os.getpid(), "port": 1,
        "abstract": "none", "hidden_socket": "/none", "host_name": os.uname().nodename,
    }  # fmt: skip
    identity = 65534 if os.geteuid() == 0 else None
    os.chmod(tmp_path, 0o777)
    ended = subprocess.run(
        ["/usr/bin/python3", "-I", "-S", "-c", hostile.ESCAPES],
        input=json.dumps(facts).encode(), capture_output=True, cwd="/tmp", user=identity, timeout=60, check=False,
        env={"LEFT": "made-up", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    (open_ones,) = [[name for name, got in json.loads(ended.stdout).items() if got]]
    assert {"environment of the platform", "only the given variables", "host name"} <= set(open_ones)
    assert {"no new privileges, no capabilities, filter on", "clone into a name space"} & set(open_ones)
    assert len(open_ones) >= 12, open_ones
    assert sys.platform == "linux"
