"""A repository that is not ours: brought in by path or URL, changed by any program, reviewed, merged, cloned."""

from pathlib import Path

from flow_stage import CALC, MEND, Stage, git, make_repository


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
