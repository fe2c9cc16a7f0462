"""Maps and exports of an install's folder: a real ledger, real facts, the real commands, no running platform."""

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from greylag.app.atlas.exporting import LOGS, REGISTERS, order_of, write_log, write_register, write_statement
from greylag.app.atlas.reading import Wanted, map_of_install, names_of, opened
from greylag.app.audit import open_evidence_file
from greylag.app.bootstrap import open_stores
from greylag.app.cli.atlas import export
from greylag.app.cli.atlas import map as data_map
from greylag.app.cli.context import set_home
from greylag.app.install.keys import region_key
from greylag.app.settings import load_settings
from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.repository import Person
from greylag.governance.ledger.proofs import verify_inclusion
from greylag.governance.subjects import mark_of
from tests.support.synthetic_ledger import ENDPOINT, PERSONAL, SyntheticLedger


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An install in Germany with two tasks on record; the second names Ann, who may use it. Only read by the tests."""
    folder = tmp_path_factory.mktemp("install")
    (folder / "greylag.toml").write_text('[region]\njurisdiction = "DE"\n')
    control, ledger, _ = open_stores(load_settings(folder, {}), folder)
    control.directory.add_person(Person("ann", ("requester",), "ann@example.org"), "glp_" + "0" * 48)
    key = region_key(folder / "cells" / "local" / "keys", "subjects")
    made = SyntheticLedger()
    made.task("task_1")
    made.task("task_2", "bank", mark=mark_of("Ann@Example.ORG", key))
    made.decide("prompt", "prompt", ENDPOINT, label=PERSONAL, content="z", outcome="sent")
    made.decide("prompt", "prompt", ENDPOINT, label=PERSONAL, content="y", permitted=False)
    for entry in made.entries:
        body = {name: value for name, value in entry.items() if name not in ("at", "attempt", "key")}
        ledger.append(body, key=str(entry["key"]))
    ledger.close()
    control.close()
    return folder


def run(app, home: Path, *arguments: str):  # type: ignore[no-untyped-def]  # Typer's own types say enough
    set_home(home)
    return CliRunner().invoke(app, list(arguments))


def test_the_map_is_rebuilt_from_the_folder_alone(home: Path) -> None:
    found = map_of_install(home, Wanted())
    assert {"request", "prompt", "transcript", "diff", "report", "build", "card", "evidence"} <= set(found.kinds)
    assert next(each for each in found.located if each.target == ENDPOINT).standing.legal_entity.startswith("Anthropic")
    assert {each.name for each in found.readers if each.kind == "person"} >= {"ann"}


def test_a_person_is_found_by_name_by_address_and_by_mark(home: Path) -> None:
    by_name = map_of_install(home, Wanted(person="ann"))
    assert {each.asset.task_id for each in by_name.located} == {"task_2"}
    assert set(by_name.kinds) == {"prompt", "transcript", "report", "message", "card"}
    assert map_of_install(home, Wanted(person="ann@example.org")).located == by_name.located
    with opened(home) as books:
        key = region_key(home / "cells" / "local" / "keys", "subjects")
        marks = names_of("ann", books.control.directory, key)
    mark = next(each for each in marks if each == mark_of("ann@example.org", key))
    assert map_of_install(home, Wanted(person=mark)).located == by_name.located
    assert map_of_install(home, Wanted(person="nobody at all")).located == ()
    with pytest.raises(RequestRefused, match="GL-MAP-002"):
        map_of_install(home, Wanted(person="   "))


def test_the_command_shows_writes_and_says_json(home: Path, tmp_path: Path) -> None:
    shown = run(data_map.app, home, "show", "--svg", str(tmp_path / "w.svg"), "--lineage", str(tmp_path / "l.svg"))
    assert shown.exit_code == 0, shown.output
    assert "% of" in shown.output
    assert "vault:local" in shown.output
    assert (tmp_path / "w.svg").read_text().startswith("<svg")
    assert (tmp_path / "l.svg").read_text().startswith("<svg")
    document = json.loads(run(data_map.app, home, "show", "--repository", "bank", "--json").output)
    assert {each["asset"]["repository"] for each in document["located"]} == {"bank"}
    assert document["coverage"]["assets"] > 0


@pytest.mark.parametrize("name", [*REGISTERS, *LOGS])
def test_every_export_is_written_privately_and_never_over_another(home: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    write = write_register if name in REGISTERS else write_log
    arguments = ("csv",) if name in REGISTERS else ()
    done = write(home, name, out, *arguments, order_of("", ""))
    assert done["entries"]
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 and file.stat().st_size > 0 for file in files)
    with pytest.raises(RequestRefused, match="GL-EXPORT-001"):
        write(home, name, out, *arguments, order_of("", ""))
    assert [path.name for path in tmp_path.glob("*.part")] == []


def test_registers_as_json_carry_their_columns(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "dora.json"
    write_register(home, "dora", out, "json", order_of("", ""))
    document = json.loads(out.read_text())
    assert [sheet["name"] for sheet in document["sheets"]] == ["dora-RT.05.01", "dora-RT.02.02", "dora-RT.05.02"]


def test_what_only_the_operator_knows_comes_from_a_file(home: Path, tmp_path: Path) -> None:
    about = tmp_path / "about.toml"
    about.write_text('controller = "Music GmbH"\ncustomers = ["Ana AG"]\n')
    out = tmp_path / "ropa.json"
    done = run(export.app, home, "ropa", "--out", str(out), "--format", "json", "--about", str(about), "--processor")
    assert done.exit_code == 0, done.output
    rows = json.loads(out.read_text())["sheets"][0]["rows"]
    assert {(row["processor"], row["on_behalf_of"]) for row in rows} == {("Music GmbH", "Ana AG")}
    for wrong in ('controler = "x"\n', "controller = 1\n", "customers = [1]\n", "not toml", "\udcff"):
        about.write_bytes(wrong.encode("utf-8", "surrogateescape"))
        with pytest.raises(RequestRefused, match="GL-EXPORT-005"):
            order_of("", "", about)


@pytest.mark.parametrize("day", ["2026-13-01", "yesterday", "20260101", "2026-1-1", "2026-01-01T00:00:00Z"])
def test_a_day_that_is_none_is_refused(day: str) -> None:
    with pytest.raises(RequestRefused, match="GL-EXPORT-004"):
        order_of(day, "")


def test_a_statement_opens_with_the_key_and_its_proofs_lead_to_its_checkpoint(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "statement.json"
    done = write_statement(home, Wanted(repository="music"), out, order_of("", ""))
    statement = open_evidence_file(out, str(done["public_key"]))
    predicate = statement["predicate"]
    assert predicate["refused"][0]["target"] == "endpoint anthropic"
    root = bytes.fromhex(statement["subject"][0]["digest"]["sha256"])
    size = int(statement["subject"][0]["name"].rsplit("@", 1)[1])
    proofs = predicate["ledger"]["proofs"]
    assert len(proofs) > 5
    for proof in proofs:
        path = [bytes.fromhex(each) for each in proof["path"]]
        verify_inclusion(bytes.fromhex(proof["leafHash"]), proof["index"], size, path, root)
    changed = out.read_text().replace(json.loads(out.read_text())["payload"][:40], "A" * 40)
    out.write_text(changed)
    with pytest.raises(GreylagError, match="GL-EVIDENCE-001"):
        open_evidence_file(out, str(done["public_key"]))


def test_a_statement_is_for_one_repository_or_one_person(home: Path, tmp_path: Path) -> None:
    for arguments in ((), ("--repository", "music", "--person", "ann")):
        answer = run(export.app, home, "statement", "--out", str(tmp_path / "s"), *arguments)
        assert isinstance(answer.exception, RequestRefused)
        assert answer.exception.code == "GL-EXPORT-004"
    person = run(export.app, home, "statement", "--out", str(tmp_path / "s"), "--person", "ann")
    assert person.exit_code == 0, person.output


def test_a_place_that_can_not_be_written_is_said(home: Path, tmp_path: Path) -> None:
    with pytest.raises(GreylagError, match="GL-EXPORT-003"):
        write_register(home, "ropa", tmp_path / "no" / "such" / "folder.csv", "csv", order_of("", ""))


def test_a_folder_without_a_platform_is_said(tmp_path: Path) -> None:
    with pytest.raises(GreylagError, match="GL-LEDGER-008"):
        map_of_install(tmp_path / "nothing", Wanted())
