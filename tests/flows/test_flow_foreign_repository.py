"""A repository that is not ours: brought in by path or URL, changed by any program, reviewed, merged, cloned."""

import json
from pathlib import Path

import pytest
from flow_stage import CALC, MEND, Stage, git, make_repository

ASSETS = Path(__file__).parents[1] / "assets"
NODE = {
    "package.json": json.dumps({"name": "sums", "version": "1.0.0", "scripts": {"test": "node --test"}}),
    "sums.js": "exports.add = (a, b) => a - b;\n",
    "test/sums.test.js": "const test = require('node:test');\nconst assert = require('node:assert');\n"
    "const { add } = require('../sums.js');\n\ntest('adds', () => assert.strictEqual(add(2, 2), 4));\n",
}  # fmt: skip
CODEMOD = """
import ast, pathlib
for path in pathlib.Path(".").glob("*.py"):
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name == "add":
            node.body[0].value.op = ast.Add()
            path.write_text(ast.unparse(tree) + "\\n")
            print("rewrote", path)
"""
PATCH = "--- a/calc.py\n+++ b/calc.py\n@@ -1,4 +1,4 @@\n def add(a, b):\n-    return a - b\n+    return a + b\n \n \n"


def test_a_path_becomes_a_verified_reviewable_merged_change_by_the_command_line(stage: Stage, tmp_path: Path) -> None:
    origin = make_repository(tmp_path / "calc", CALC)
    before = git(origin, "rev-parse", "HEAD").strip()

    added = stage.cli("repo", "add", str(origin), "--as", "grace")
    asked = stage.cli(
        "ask", "adding subtracts, fix it", "--as", "ada", "--repo", "calc", "--agent", "command", "--json", "--", *MEND
    )

    assert (added.code, added.out) == (0, "added calc (main)\n")
    assert asked.code == 0, asked.err + asked.out
    task = asked.json
    assert task["status"] == "in_review"
    assert task["files"] == ["calc.py"]
    assert [run["status"] for run in task["runs"]] == ["passed"]
    assert task["build_digest"].startswith("sha256:")

    approved = stage.cli("approve", task["task_id"], "--as", "grace", "--subject", task["subject"])
    assert approved.code == 0, approved.err + approved.out
    assert "Merged into main" in approved.out

    copy = stage.clone("calc", tmp_path / "copy")
    assert "a + b" in (copy / "calc.py").read_text()
    merge, change = git(copy, "log", "--format=%an <%ae>|%cn|%P", "-2", "--topo-order").splitlines()
    assert len(merge.split("|")[2].split()) == 2
    assert change.startswith("ada <ada@example.org>")
    assert git(origin, "rev-parse", "HEAD").strip() == before
    assert "a - b" in (origin / "calc.py").read_text()


def test_a_node_package_by_file_url_is_checked_by_its_own_tests(stage: Stage, tmp_path: Path) -> None:
    origin = make_repository(tmp_path / "sums", NODE)

    added = stage.cli("repo", "add", origin.as_uri(), "--as", "grace", "--json")
    asked = stage.cli(
        "ask", "sums subtract", "--as", "ada", "--repo", "sums", "--agent", "command", "--json",
        "--", "sed", "-i", "s/a - b/a + b/", "sums.js",
    )  # fmt: skip

    assert added.json == {"name": "sums", "default_branch": "main"}
    assert asked.code == 0, asked.out + asked.err
    assert asked.json["status"] == "in_review"
    assert b"npm test" in stage.content(asked.json["task_id"], "report")
    assert asked.json["build_name"].endswith(".tgz")
    built = stage.cli("task", "build", asked.json["task_id"], "--as", "ada", "--output", str(tmp_path / "b.tgz"))
    assert built.code == 0, built.err
    assert (tmp_path / "b.tgz").stat().st_size == asked.json["build_size_bytes"]


def test_a_repository_by_http_url_keeps_its_branch_and_its_credentials_stay_out(stage: Stage, tmp_path: Path) -> None:
    origin = make_repository(tmp_path / "served", CALC)
    git(origin, "branch", "--move", "trunk")
    stage.add("served", origin)
    port = stage.url.rsplit(":", 1)[1]
    url = f"http://ada:{stage.tokens['ada']}@127.0.0.1:{port}/git/served"

    added = stage.cli("repo", "add", url, "--name", "by-http", "--as", "grace")
    wrong = stage.cli("repo", "add", f"http://127.0.0.1:{port}/git/served", "--name", "nobody", "--as", "grace")

    assert (added.code, added.out) == (0, "added by-http (trunk)\n"), added.err
    assert wrong.code == 2
    assert "GL-FORGE-002" in wrong.err
    assert stage.approve(stage.ask("adding subtracts, fix it", "by-http"))["status"] == "merged"
    assert "a + b" in (stage.clone("by-http", tmp_path / "copy") / "calc.py").read_text()
    token = stage.tokens["ada"].encode()
    assert [str(path) for path in stage.home.rglob("*") if path.is_file() and token in path.read_bytes()] == []


@pytest.mark.parametrize(
    "command",
    [
        ["python3", "-c", CODEMOD],
        ["sh", "-c", 'echo "I read: $(head -c 20)"; sed -i "s/a - b/a + b/" calc.py; echo mended'],
        ["git", "apply", "mend.patch"],
        ["./mend"],
    ],
)
def test_any_program_is_an_agent(stage: Stage, tmp_path: Path, command: list[str]) -> None:
    name = stage.calc(
        tmp_path,
        {
            **CALC,
            "mend": "#!/bin/sh\nexec sed -i 's/a - b/a + b/' calc.py\n",
            "mend.patch": PATCH,
        },
    )
    if command == ["./mend"]:  # not executable in the repository: the program can't be started, and that is said
        task = stage.ask("adding subtracts, fix it", name, command)
        assert task["status"] == "handed_over"
        assert "mend" in task["outcome"]
        return

    task = stage.ask("adding subtracts, fix it", name, command)

    assert (task["status"], task["files"]) == ("in_review", ["calc.py"])


def test_an_agent_of_the_agent_client_protocol_works_by_the_same_way(stage: Stage, tmp_path: Path) -> None:
    name = stage.calc(tmp_path)
    source = (ASSETS / "acp_agent.py").read_text().replace("STEPS[step]", "STEPS.get(step, lambda _: None)")
    text = "adding subtracts, fix it\nsay I look at it\nrun sed -i 's/a - b/a + b/' calc.py\nsay mended"

    task = stage.ask(text, name, ["python3", "-c", source], agent="acp")

    assert (task["status"], task["agent"]) == ("in_review", "acp")
    assert "mended" in stage.thread(task["task_id"])
    assert stage.approve(task)["status"] == "merged"
