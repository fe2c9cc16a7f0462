"""Drills on a made-up install: real packs and facts, a real door, a real ledger, the real command line."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from greylag.app.cli.context import _home
from greylag.app.cli.main import app
from greylag.app.install.law.worlds import keep_world, read_world
from greylag.app.whatif.archive import Selection
from greylag.app.whatif.example import made_up_world, make_example
from greylag.app.whatif.files import read_drill, shipped_drills
from greylag.app.whatif.running import library, run_drill, show_matrix
from greylag.domain.errors import GreylagError, IntegrityError, RequestRefused

DAY = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
DRILLS = [file.stem for file in shipped_drills()]
US = {"endpoint/bedrock-us", "endpoint/azure-us-datazone"}
EU_OF_A_US_COMPANY = {"endpoint/bedrock-eu", "endpoint/bedrock-eu-central-1"}


class Ticking:
    """A clock that moves a second each time it is looked at."""

    def __init__(self) -> None:
        self.at = DAY

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def entropy(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whatif") / "home"
    made = make_example(folder, Ticking())
    assert made["decisions"] > made["denied"] > 0
    return folder


@pytest.fixture
def command() -> Iterator[CliRunner]:
    yield CliRunner()
    _home[0] = None


@cache
def replayed(home: Path, drill: str) -> dict[str, Any]:
    """Run each drill once for all the tests that look at it."""
    return run_drill(home, drill, Selection(), today=DAY.date())


def drilled(home: Path, drill: str, **wanted: Any) -> dict[str, Any]:
    return run_drill(home, drill, Selection(**wanted), today=DAY.date())


def denied(document: dict[str, Any]) -> set[str]:
    return {each["name"] for each in document["by"]["target"] if each["newly_denied"]}


def test_the_framework_annulled_takes_us_endpoints_and_eu_regions_of_us_companies(home: Path) -> None:
    document = replayed(home, "dpf-annulled")
    assert denied(document) >= US | EU_OF_A_US_COMPANY
    assert not {"endpoint/mistral-eu", "endpoint/ovhcloud", "endpoint/anthropic"} & denied(document)
    assert document["newly_allowed"] == 0
    for flow in document["flows"]:
        assert "adequacy/eu-us-dpf" in flow["because"]
        assert flow["rules"] == ["gdpr-transfer-without-safeguard"]
        assert "mistral-eu" in [each["name"] for each in flow["fallback"]["targets"]]
    runs = [each for each in document["live"]["affected"] if each["kind"] == "run"]
    assert {each["state"] for each in runs} == {"working"}
    assert {each["target"] for each in runs} == {"bedrock-eu", "bedrock-us"}


def test_mistral_bought_moves_what_asks_for_control_and_nothing_else(home: Path) -> None:
    document = replayed(home, "mistral-bought-by-us-parent")
    assert denied(document) == {"endpoint/mistral-eu"}
    assert {rule for flow in document["flows"] for rule in flow["rules"]} == {"crown-jewels-control"}
    assert {tuple(flow["label"]["classes"]) for flow in document["flows"]} == {("code.proprietary",)}
    elsewhere = [flow for flow in document["flows"] if flow["repository"] != "recommender"]
    assert elsewhere == [], "five other repositories use mistral-eu and are not concerned"


@pytest.mark.parametrize(
    ("drill", "denies", "allows"),
    [
        ("uk-adequacy-lapsed", {"endpoint/bedrock-eu-west-2"}, set()),
        ("frankfurt-lost", {"endpoint/bedrock-eu-central-1"}, set()),
        ("aws-eu-support-from-the-eu", set(), {"endpoint/bedrock-eu"}),
        ("vendor-opened", set(), {"endpoint/azure-germanywestcentral"}),
    ],
)
def test_each_drill_moves_what_it_is_about(home: Path, drill: str, denies: set[str], allows: set[str]) -> None:
    document = replayed(home, drill)
    assert denied(document) == denies
    assert {each["name"] for each in document["by"]["target"] if each["newly_allowed"]} == allows


def test_a_country_lost_stops_what_is_live_there(home: Path) -> None:
    document = replayed(home, "germany-lost")
    assert {each["kind"] for each in document["live"]["affected"]} == {"run", "build", "environment"}
    assert {flow["why"].split()[-1] for flow in document["flows"]} == {"lost"}
    assert "store/vault:fra-1" in document["changed"]["lost"]


def test_a_label_rule_moves_one_repository(home: Path) -> None:
    document = replayed(home, "finance-labelled")
    assert [each["name"] for each in document["by"]["repository"]] == ["royalties"]
    assert [each["name"] for each in document["by"]["owner"]] == ["finance"]


def test_a_proposed_law_is_cited_as_what_it_is(home: Path) -> None:
    document = replayed(home, "cada-in-force")
    assert document["drill"]["status"] == "proposed"
    assert "cada-level-1" in {each["name"] for each in document["by"]["law"]}
    assert all("pack/cada-draft" in flow["because"] for flow in document["flows"])


@pytest.mark.parametrize("drill", DRILLS)
def test_every_decision_is_counted_once_and_plain(home: Path, drill: str) -> None:
    document = replayed(home, drill)
    parts = ("newly_denied", "newly_allowed", "still_permitted", "still_denied")
    assert sum(document[part] for part in parts) == document["decisions"] > 200
    assert json.loads(json.dumps(document)) == document
    assert sum(flow["decisions"] for flow in document["flows"]) == document["newly_denied"] + document["newly_allowed"]


def test_a_selection_takes_less(home: Path) -> None:
    assert {flow["repository"] for flow in drilled(home, "dpf-annulled", repository="billing")["flows"]} == {"billing"}
    with pytest.raises(RequestRefused) as caught:
        drilled(home, "dpf-annulled", since=DAY.date() + timedelta(days=1))
    assert caught.value.code == "GL-WHATIF-005"


@pytest.mark.parametrize(
    ("table", "key", "value", "code"),
    [
        ("", "permitted", False, "GL-WHATIF-001"),
        ("", "rules", ["permit-everything"], "GL-WHATIF-001"),
        ("target", "name", "ovhcloud", "GL-WHATIF-001"),
        ("", "version", 1, "GL-DECISION-001"),
        ("", "policy_version", "world:" + "0" * 32, "GL-WORLD-002"),
        ("", "policy_version", "../../etc/passwd", "GL-WORLD-002"),
    ],
)
def test_a_record_that_was_changed_stops_the_drill(
    home: Path, tmp_path: Path, table: str, key: str, value: object, code: str
) -> None:
    broken = tmp_path / "home"
    shutil.copytree(home, broken)
    tamper(broken, table, key, value)
    with pytest.raises(IntegrityError) as caught:
        drilled(broken, "dpf-annulled")
    assert caught.value.code == code


def tamper(home: Path, table: str, key: str, value: object) -> None:
    """Change one permitted prompt in the ledger's file, as somebody with access to the disk would."""
    with sqlite3.connect(home / "cells" / "fra-1" / "ledger.db") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f"DROP TRIGGER {name}")
        columns = [row[1] for row in database.execute("PRAGMA table_info(greylag_ledger_entry)")]
        body = next(each for each in columns if each in ("body", "leaf", "content", "entry"))
        for row, text in database.execute(f"SELECT rowid, {body} FROM greylag_ledger_entry").fetchall():
            entry = json.loads(text)
            if entry.get("stage") == "prompt" and entry["permitted"] and entry["target"]["name"] == "bedrock-us":
                (entry[table] if table else entry)[key] = value
                changed = json.dumps(entry).encode()
                database.execute(f"UPDATE greylag_ledger_entry SET {body} = ? WHERE rowid = ?", (changed, row))
                return
    raise AssertionError("there is a prompt to bedrock-us")


def test_a_world_that_was_changed_stops_the_drill(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "home"
    shutil.copytree(home, broken)
    (file,) = (broken / "worlds").iterdir()
    text = file.read_text()
    file.write_text(text.replace('"challenged"', '"in_force"'))
    with pytest.raises(IntegrityError) as caught:
        drilled(broken, "dpf-annulled")
    assert caught.value.code == "GL-WORLD-001"
    file.write_text(text[:-20])
    with pytest.raises(IntegrityError) as caught:
        drilled(broken, "dpf-annulled")
    assert caught.value.code == "GL-WORLD-003"
    file.unlink()
    with pytest.raises(IntegrityError) as caught:
        drilled(broken, "dpf-annulled")
    assert caught.value.code == "GL-WORLD-002"


def test_a_world_is_kept_once_for_its_owner_alone(tmp_path: Path) -> None:
    world = made_up_world(tmp_path, DAY.date())
    file = keep_world(tmp_path, world)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    before = file.stat().st_mtime_ns
    assert keep_world(tmp_path, world) == file
    assert file.stat().st_mtime_ns == before
    assert [each.name for each in file.parent.iterdir()] == [file.name], "nothing half written is left"
    again = read_world(tmp_path, world.version)
    assert again.version == world.version
    assert again.book.rows == world.book.rows
    assert [pack.policies for pack in again.packs] == [pack.policies for pack in world.packs]


def test_a_folder_where_no_world_can_be_kept_is_said(tmp_path: Path) -> None:
    world = made_up_world(tmp_path, DAY.date())
    (tmp_path / "worlds").write_text("in the way")
    with pytest.raises(GreylagError) as caught:
        keep_world(tmp_path, world)
    assert caught.value.code == "GL-WORLD-004"


def test_the_matrix_covers_labels_in_use(home: Path) -> None:
    document = show_matrix(home, "dpf-annulled", Selection(), today=DAY.date())
    changed = {
        cell["target"]
        for cell in document["cells"]
        if cell["answer"] == "permit" and cell["after"] in ("deny", "until")
    }
    assert {"bedrock-us", "bedrock-eu", "azure-us-datazone"} <= changed
    assert "mistral-eu" not in changed
    plain = show_matrix(home, "", Selection(), today=DAY.date())
    assert {cell["after"] for cell in plain["cells"]} == {""}


def test_the_command_line_tells_it_and_prints_json(home: Path, command: CliRunner) -> None:
    told = command.invoke(app, ["--home", str(home), "whatif", "run", "dpf-annulled"], catch_exceptions=False)
    assert told.exit_code == 0
    for word in ("newly denied", "bedrock-eu", "bedrock-us", "fallback: ", "rests on: adequacy/eu-us-dpf"):
        assert word in told.stdout
    plain = command.invoke(app, ["--home", str(home), "whatif", "run", "dpf-annulled", "--json"])
    assert json.loads(plain.stdout)["newly_denied"] > 0
    listed = command.invoke(app, ["whatif", "list", "--json"])
    assert [each["name"] for each in json.loads(listed.stdout)] == DRILLS
    matrix = command.invoke(app, ["--home", str(home), "whatif", "matrix", "--drill", "dpf-annulled"])
    assert (matrix.exit_code, "answers change under `dpf-annulled`" in matrix.stdout) == (0, True)
    assert "permit" in matrix.stdout


def test_a_drill_of_ones_own_with_its_rules_in_a_file(home: Path, tmp_path: Path) -> None:
    pack = library()["sovereign-control"]
    (tmp_path / "wide.cedar").write_text(pack.policy_text.replace('"code.proprietary"', '"code"'))
    (tmp_path / "own.toml").write_text(
        'schema_version = 1\nname = "own"\ntitle = "own"\nstatus = "hypothetical"\n[[change]]\nkind = "pack"\n'
        'replace = "sovereign-control"\npolicy_file = "wide.cedar"\n'
    )
    document = drilled(home, str(tmp_path / "own.toml"))
    assert {flow["repository"] for flow in document["flows"]} == {"royalties"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "GL-WHATIF-006"),
        (b"\xff\xfe", "GL-WHATIF-006"),
        (b"name = [", "GL-WHATIF-006"),
        (b"x" * (1024 * 1024 + 1), "GL-WHATIF-006"),
        (b"", "GL-WHATIF-002"),
        (b'schema_version = 1\n[[change]]\nkind = "pack"\nreplace = "x"\npolicy_file = "not-there"', "GL-WHATIF-006"),
        (b'schema_version = 1\nchange = [1, "a"]', "GL-WHATIF-002"),
    ],
)
def test_a_file_that_is_no_drill_is_said(tmp_path: Path, content: bytes | None, code: str) -> None:
    file = tmp_path / "drill.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(RequestRefused) as caught:
        read_drill(str(file))
    assert caught.value.code == code


def test_an_example_never_takes_a_folder_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(RequestRefused) as caught:
        make_example(tmp_path)
    assert caught.value.code == "GL-WHATIF-008"
