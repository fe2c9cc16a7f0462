"""A published package goes the whole way: fetched for real, its own tests the judge, a program the agent."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flow_openings import AT_HOME, commands_in, opening, prepare
from flow_stage import Answer, cli, environment

from greylag.app.install.shipped import shipped
from greylag.app.settings import package_index_environment

SEEN = {
    "fetched_by_decision", "turned_back", "bug_found", "nothing_to_approve", "stopped", "in_review", "one_file",
    "merged", "same_digest", "let_through", "wheel", "stages", "ledger_intact", "tampering_found",
}  # fmt: skip
NOT_REACHED = ("GL-EGRESS-010", "GL-EGRESS-011", "GL-EGRESS-015")
DIGEST = "4e35b956cf45792e4caa5885e69fba00bdbc6ffafbfa020300e549b208ee5ff1"
Run = Callable[..., Answer]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command line with an empty HOME, and this machine's package index and certificates."""
    index = package_index_environment()
    if "SSL_CERT_DIR" in os.environ:
        index["SSL_CERT_DIR"] = os.environ["SSL_CERT_DIR"]
    home = tmp_path / "home"

    def run_it(*arguments: str, **more: str) -> Answer:
        return cli(home, *arguments, env={**environment(home), **index, **more})

    return run_it


def require_registry(answer: Answer) -> None:
    """Skip, and say why, where this machine reaches no package registry; anything else must not pass for that."""
    if answer.code and any(code in answer.out + answer.err for code in NOT_REACHED):
        pytest.skip(
            f"THE REAL PACKAGE WAS NOT TRIED: no package registry is reached from here: {answer.out or answer.err}"
        )


@pytest.mark.slow
def test_the_demo_shows_all_of_it(run: Run, tmp_path: Path) -> None:
    answer = run("demo", "--real", "--json")
    require_registry(answer)
    assert answer.code == 0, answer.out + answer.err
    shown = json.loads(answer.out)
    assert shown["ok"] is True
    assert set(shown["seen"]) == SEEN
    assert all(shown["seen"].values())
    assert list((tmp_path / "home-person").iterdir()) == [], "nothing is left in HOME"


def test_a_package_becomes_a_repository_only_as_it_was_pinned(run: Run, tmp_path: Path) -> None:
    prepare(tmp_path / "home", open=opening("host", "host:package-registry", "public"))
    added = run("repo", "add", f"sdist:h11==0.16.0#sha256={'0' * 64}", "--json")
    require_registry(added)
    error = json.loads(added.out)["error"]
    assert (added.code, error["code"]) == (1, "GL-REGISTRY-004")
    assert DIGEST in error["message"]

    source = f"sdist:h11==0.16.0#sha256={DIGEST}"
    patch = tmp_path / "unfit.patch"
    patch.write_text("--- a/setup.py\n+++ b/setup.py\n@@ -1 +1 @@\n-import nothing\n+import os\n")
    refused = run("repo", "add", source, "--patch", str(patch), "--json")
    assert (refused.code, json.loads(refused.out)["error"]["code"]) == (2, "GL-REGISTRY-008")
    misplaced = run("repo", "add", str(tmp_path), "--name", "h11", "--patch", str(patch), "--json")
    assert (misplaced.code, json.loads(misplaced.out)["error"]["code"]) == (2, "GL-REPO-004")

    # Whatever was refused left nothing behind: the name is still free.
    patch.write_text((shipped("examples", "real") / "h11-chunk-end.patch").read_text())
    added = run("repo", "add", source, "--patch", str(patch), "--level", "public", "--json")
    assert json.loads(added.out) == {"name": "h11", "default_branch": "main"}, added.out + added.err


def test_a_registry_that_nobody_opened_gets_nothing_and_the_refusal_says_how_to_open_it(
    run: Run, tmp_path: Path
) -> None:
    closed = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "NO_PROXY": "127.0.0.1"}
    source = f"sdist:h11==0.16.0#sha256={DIGEST}"
    unknown = run("repo", "add", source, "--json", **closed)
    assert (unknown.code, json.loads(unknown.out)["error"]["code"]) == (3, "GL-POLICY-001")
    assert "set `jurisdiction` in the `[region]` table" in json.loads(unknown.out)["error"]["remedy"]
    (tmp_path / "home" / "greylag.toml").write_text(AT_HOME)
    refused = json.loads(run("repo", "add", source, "--json", **closed).out)["error"]
    assert refused["code"] == "GL-POLICY-001"
    (command,) = commands_in(refused["remedy"])
    opened = run(*command)
    assert opened.code == 0, opened.out + opened.err
    let_through = json.loads(run("repo", "add", source, "--json", **closed).out)["error"]
    assert let_through["code"].startswith("GL-EGRESS-"), "now it is the network that says no, and no longer policy"


def test_without_a_registry_it_says_so(run: Run) -> None:
    answer = run("demo", "--real", "--json", PIP_INDEX_URL="http://127.0.0.1:9/simple", NO_PROXY="127.0.0.1")
    error = json.loads(answer.out)["error"]
    assert (answer.code, error["code"]) == (1, "GL-DEMO-004")
    assert "GL-EGRESS-010" in error["message"]
    assert "PIP_INDEX_URL" in error["remedy"]
