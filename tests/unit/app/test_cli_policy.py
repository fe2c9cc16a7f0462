"""``greylag policy …`` that needs no running platform: list, show, test, moves, matrix."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greylag.app.cli.main import app
from greylag.domain.errors import GreylagError
from tests.support.source import ROOT

PACKS = ROOT / "policies" / "packs"
MANIFEST = """
schema_version = 2
name = "own-rules"
title = "Rules of our own"
version = "1"
status = "in_force"
kind = "law"
regimes = []
requires = ["house-one-region"]
conflicts_with = []
"""
POLICY = """
@id("own-nothing-at-night")
@reason("nothing confidential goes to a chat here")
@no_remedy("it is a house rule")
forbid (principal, action == Greylag::Action::"chat", resource is Greylag::Target)
when { context.level >= 2 };
"""
EXAMPLES = """
schema_version = 2
home_region = "lon"
at = 2026-11-23
facts = []

[[place]]
name = "lon"
jurisdictions = ["GB"]
source = "a test"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"

[[jurisdiction]]
code = "GB"
name = "United Kingdom"
source = "a test"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"

[[target]]
kind = "chat"
name = "thread:lon"
places = ["lon"]
processor = ""
pinned = true
trains_by_default = false
max_level = "restricted"
source = "a test"
retrieved = 2026-01-02
status = "in_force"
certainty = "O"

[[example]]
title = "a plain card"
stage = "chat"
principal = "platform:greylag"
kind = "card"
level = "internal"
target_kind = "chat"
target = "thread:lon"
expect = "allow"
rule = "permit-chat"

[[example]]
title = "a confidential card"
stage = "chat"
principal = "platform:greylag"
kind = "card"
level = "confidential"
target_kind = "chat"
target = "thread:lon"
expect = "deny"
rule = "own-nothing-at-night"
"""


def run(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    """Run the command line in this process; an expected error counts as its exit code and its message."""
    result = CliRunner().invoke(app, ["--home", str(tmp_path / "home"), "policy", *arguments])
    if isinstance(result.exception, GreylagError):
        return result.exception.exit_code, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def own_pack(folder: Path, policy: str = POLICY, examples: str = EXAMPLES) -> Path:
    folder.mkdir()
    (folder / "pack.toml").write_text(MANIFEST)
    (folder / "policy.cedar").write_text(policy)
    (folder / "examples.toml").write_text(examples)
    return folder


def test_list_names_every_pack_and_says_which_decide(tmp_path: Path) -> None:
    code, out = run(tmp_path, "list", "--json")
    found = {each["name"]: each for each in json.loads(out)}
    assert (code, set(found)) == (0, {path.name for path in PACKS.iterdir()})
    assert found["house-one-region"]["active"]
    assert not found["cada-draft"]["active"], "a proposed law decides nothing"
    assert found["cada-draft"]["status"] == "proposed"
    assert "permit-chat" in found["house-one-region"]["rules"]
    assert "decides here" in run(tmp_path, "list")[1]


def test_show_gives_text_law_and_remedies(tmp_path: Path) -> None:
    code, out = run(tmp_path, "show", "gdpr-transfer-without-safeguard", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["pack"] == "eu-gdpr"
    assert {law["row"] for law in found["laws"]} >= {"law/gdpr-art-45", "law/gdpr-art-46"}
    assert all(law["status"] for law in found["laws"])
    assert found["text"].startswith('@id("gdpr-transfer-without-safeguard")')
    assert found["text"].rstrip().endswith("};")
    assert found["text"].count("@id(") == 1
    assert "remedy: " in run(tmp_path, "show", "gdpr-transfer-without-safeguard")[1]


def test_show_names_near_rules_where_there_is_none(tmp_path: Path) -> None:
    code, out = run(tmp_path, "show", "gdpr-transfer")
    assert code == 2
    assert "GL-EXPLAIN-003" in out
    assert "gdpr-transfer-without-safeguard" in out


def test_all_examples_of_shipped_packs_hold(tmp_path: Path) -> None:
    code, out = run(tmp_path, "test", "--json")
    found = json.loads(out)
    assert (code, [each for each in found if each["failures"]]) == (0, [])
    assert {each["pack"] for each in found} == {path.name for path in PACKS.iterdir()}
    assert all(each["examples"] for each in found)


def test_an_operators_own_pack_is_tried_too(tmp_path: Path) -> None:
    folder = own_pack(tmp_path / "own")
    assert run(tmp_path, "test", str(folder)) == (0, "✓ own-rules: 2 examples\n")


@pytest.mark.parametrize(
    ("policy", "examples", "said"),
    [
        (POLICY, EXAMPLES.replace('expect = "deny"', 'expect = "allow"'), "got/expected: deny/allow"),
        (POLICY.replace("context.level", "context.leval"), EXAMPLES, "GL-POLICY-013"),
        (POLICY.replace("context.level >= 2", 'Greylag::Zone::"Atlantis".members.contains("GB")'), EXAMPLES,
         "GL-POLICY-020"),
        (POLICY.replace("when {", "whenever {"), EXAMPLES, "GL-POLICY-011"),
        (POLICY, EXAMPLES.replace('status = "in_force"', 'status = "guessed"', 1), "GL-FACTS-003"),
        (POLICY, "not = toml = at all", "GL-SETTINGS-004"),
    ],
)  # fmt: skip
def test_a_broken_pack_fails_with_code_and_remedy(tmp_path: Path, policy: str, examples: str, said: str) -> None:
    folder = own_pack(tmp_path / "own", policy, examples)
    code, out = run(tmp_path, "test", "eu-gdpr", str(folder))
    assert code == 1
    assert said in out
    assert "✓ eu-gdpr" in out, "one bad pack does not hide the others"


def test_a_name_that_is_no_pack(tmp_path: Path) -> None:
    code, out = run(tmp_path, "test", "no-such-pack")
    assert code == 1
    assert "GL-POLICY-024" in out


def test_one_changed_fact_lists_the_examples_that_move(tmp_path: Path) -> None:
    code, out = run(tmp_path, "moves", "--row", "adequacy/eu-us-dpf", "--status", "annulled", "--json")
    found = json.loads(out)
    assert code == 0
    assert {each["pack"] for each in found} == {"eu-gdpr"}
    assert all("gdpr-transfer-without-safeguard" in each["after"] for each in found)
    removed = json.loads(run(tmp_path, "moves", "--row", "adequacy/eu-us-dpf", "--remove", "--json")[1])
    assert {each["example"] for each in removed} == {each["example"] for each in found}
    assert run(tmp_path, "moves", "--row", "adequacy/eu-us-dpf", "--status", "in_force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--row", "adequacy/nobody", "--remove"), "GL-EXPLAIN-004"),
        (("--row", "adequacy/eu-us-dpf", "--status", "gone"), "GL-EXPLAIN-004"),
        (("--row", "adequacy/eu-us-dpf"), "GL-EXPLAIN-006"),
        (("--row", "adequacy/eu-us-dpf", "--status", "annulled", "--remove"), "GL-EXPLAIN-006"),
    ],
)
def test_moves_says_what_it_needs(tmp_path: Path, arguments: tuple[str, ...], code: str) -> None:
    exit_code, out = run(tmp_path, "moves", *arguments)
    assert exit_code == 2
    assert code in out


def test_the_matrix_shows_each_stage(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, "matrix", "--json")[1])
    assert len(found) == 12
    assert "prompt\n  permits: permit-prompt" in run(tmp_path, "matrix")[1]


def test_none_of_it_makes_a_home(tmp_path: Path) -> None:
    run(tmp_path, "list")
    run(tmp_path, "matrix")
    assert not (tmp_path / "home").exists()
