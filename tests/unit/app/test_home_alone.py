"""A home is served by one process at a time, and its token is whole or not there."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from greylag.app.install.home import held, prepare_home, read_operator_token
from greylag.domain.errors import OperatorError

_HOLD = """
import sys, time
from pathlib import Path
from greylag.app.install.home import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_held_home_is_refused_until_its_holder_dies(tmp_path: Path) -> None:
    source = str(Path(sys.modules["greylag"].__path__[0]).parent)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, env={"PYTHONPATH": source}, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OperatorError, match="another live process") as refused, held(tmp_path):
            pytest.fail("two processes hold one home")
        assert refused.value.code == "GL-HOME-003"
        assert str(holder.pid) in refused.value.message
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with held(tmp_path):
        assert (tmp_path / "run" / "lock").read_text() == f"{os.getpid()}\n"
    with held(tmp_path):
        pass


def test_a_token_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepare_home(home)
    token = read_operator_token(home)
    prepare_home(home)
    assert read_operator_token(home) == token
    assert [path.name for path in home.iterdir()] == ["operator.token"]
    assert (home / "operator.token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "\n", "glo_short\n"])
def test_a_token_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    """An empty token would be everybody's: whoever sends nothing would be the operator."""
    path = tmp_path / "operator.token"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(OperatorError) as refused:
        read_operator_token(tmp_path)
    assert refused.value.code == "GL-HOME-002"
