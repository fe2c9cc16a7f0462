"""Releases: health decides, the way back is taken by itself, and everything is told in the thread."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from flow_stage import Stage, script

SERVICE = {
    "pyproject.toml": '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
    '[project]\nname = "hello"\nversion = "1.0.0"\n',
    "src/hello/__init__.py": 'WORD = "first"\n',
    "src/hello/__main__.py": """\
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from hello import WORD


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if WORD == "broken" else 200)
        self.end_headers()
        self.wfile.write(WORD.encode())

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(sys.argv[1])), Hello).serve_forever()
""",
    "tests/test_hello.py": "import sys\n\nsys.path.insert(0, 'src')\n\nfrom hello import WORD\n\n\n"
    "def test_word():\n    assert WORD\n",
}  # fmt: skip
COMMAND = ["python", "-m", "hello", "{port}"]


def environments(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "command": COMMAND, "health_path": "/", "health_timeout_seconds": 4} for name in names]


def say_word(word: str) -> list[str]:
    return script(f"echo 'WORD = \"{word}\"' > src/hello/__init__.py")


def live(stage: Stage, name: str) -> dict[str, Any]:
    return {each["environment"]: each for each in stage.get("/releases", repository=name)}


def answer(stage: Stage, name: str, environment: str) -> str:
    return httpx.get(live(stage, name)[environment]["url"], trust_env=False, timeout=10).text


def test_a_release_that_fails_its_health_check_brings_the_last_one_back(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, SERVICE, environments=environments("staging", "production"))
    first = stage.approve(stage.ask(f"release {name} as it is", name))
    assert first["status"] == "released"
    assert [each["status"] for each in first["releases"]] == ["released", "released"]
    assert answer(stage, name, "production") == "first"

    bad = stage.approve(stage.ask("change the word", name, say_word("broken")))

    assert (bad["status"], [each["status"] for each in bad["releases"]]) == ("rolled_back", ["rolled_back"])
    assert answer(stage, name, "staging") == "first"
    assert live(stage, name)["staging"]["digest"] == first["build_digest"]
    thread = stage.thread(bad["task_id"])
    assert "Rolled back. staging" in thread
    assert "is back and answers" in thread

    good = stage.approve(stage.ask("change the word again", name, say_word("second")))
    assert good["status"] == "released"
    assert answer(stage, name, "production") == "second"
    asked = stage.cli("release", "live", name, "--as", "ada")
    assert good["build_digest"][:19] in asked.out
    assert asked.out.count("http://127.0.0.1:") == 2

    refused = stage.cli("release", "rollback", name, "production", "--as", "ada")
    assert (refused.code, "GL-PERSON-002" in refused.err) == (2, True)
    back = stage.cli("release", "rollback", name, "production", "--as", "lin", "--json")
    assert back.code == 0, back.err
    assert back.json["digest"] == first["build_digest"]
    assert answer(stage, name, "production") == "first"
    assert answer(stage, name, "staging") == "second"
    assert "production was brought back" in stage.thread(good["task_id"])


def test_a_first_release_that_fails_leaves_nothing_running(stage: Stage, tmp_path: Path) -> None:
    broken = {**SERVICE, "src/hello/__init__.py": 'WORD = "broken"\n'}
    name = stage.calc(tmp_path, broken, environments=environments("production"))

    task = stage.approve(stage.ask(f"release {name} as it is", name))

    assert task["status"] == "rolled_back"
    assert live(stage, name)["production"]["url"] == ""
    assert "Nothing ran there before" in stage.thread(task["task_id"])
    nothing = stage.refused("/releases/rollback", {"repository": name, "environment": "production"}, by="grace")
    assert nothing["code"] == "GL-RELEASE-002"
    unknown = stage.refused("/releases/rollback", {"repository": name, "environment": "moon"}, by="grace")
    assert (unknown["code"], "production" in unknown["remedy"]) == ("GL-RELEASE-001", True)


@pytest.mark.parametrize(
    ("files", "seen"),
    [
        ({"src/hello/__main__.py": "raise SystemExit('no wish to run')\n"}, "Rolled back. production"),
        ({"pyproject.toml": '[build-system]\nbuild-backend = "nobody"\n[project]\nname = "x"\n'}, "The build failed"),
    ],
)
def test_what_does_not_build_or_start_is_told_and_not_live(
    stage: Stage, tmp_path: Path, files: dict[str, str], seen: str
) -> None:
    name = stage.calc(tmp_path, {**SERVICE, **files}, environments=environments("production"))

    task = stage.ask(f"release {name} as it is", name)
    if task["status"] == "in_review":
        task = stage.approve(task)

    assert task["status"] in ("rolled_back", "handed_over")
    assert seen in stage.thread(task["task_id"])
    assert live(stage, name)["production"]["url"] == ""


def test_a_release_task_whose_main_moves_on_is_reviewed_anew(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path, SERVICE)
    as_it_was = stage.ask(f"release {name} as it is", name)
    assert stage.approve(stage.ask("change the word", name, say_word("second")))["status"] == "merged"

    again = stage.approve(as_it_was)

    assert again["status"] == "in_review"
    assert again["subject"] != as_it_was["subject"]
    assert stage.approve(again)["status"] == "merged"
