"""Registers: complete, honest about what nobody knows, and harmless in a spreadsheet."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import RequestRefused
from greylag.governance.datamap import Query, project
from greylag.governance.evidence import DecisionProof, envelope_bytes, sign_statement, verify_envelope
from greylag.governance.exports import (
    Column,
    Install,
    Period,
    Sheet,
    Subject,
    controller_record,
    customer_statement,
    dora_sheets,
    gather,
    processor_record,
    sheet_csv,
    sheet_document,
    sub_processor_list,
    transfer_register,
    wanted_proofs,
)
from greylag.governance.ledger.checkpoint import Checkpoint, sign_checkpoint
from greylag.governance.question import Target
from tests.support.synthetic_ledger import ENDPOINT, PERSONAL, VAULT, SyntheticLedger, facts_for_tests

FACTS = facts_for_tests()
INSTALL = Install("greylag", "1.2.3", "local", "DE", controller="Music GmbH", customers=("Ana AG", "Ben SE"))
KEY = b"\x07" * 32


def busy() -> SyntheticLedger:
    """A ledger with personal data sent to the US under SCC, somewhere nobody knows, and refused."""
    ledger = SyntheticLedger()
    ledger.task("task_1")
    ledger.decide("prompt", "prompt", ENDPOINT, label=PERSONAL, content="a", outcome="sent")
    ledger.decide("prompt", "prompt", ENDPOINT, label=PERSONAL, content="b", permitted=False)
    ledger.decide("prompt", "prompt", Target("endpoint", "european"), label=PERSONAL, content="c")
    ledger.decide("prompt", "prompt", Target("endpoint", "nobody"), label=PERSONAL, content="d")
    return ledger


def rows(sheet: Sheet) -> list[dict[str, str]]:
    return [dict(zip([column.name for column in sheet.columns], row, strict=True)) for row in sheet.rows]


def test_the_controllers_record_has_what_article_30_asks_for() -> None:
    record = controller_record(gather(busy().entries), FACTS, INSTALL)
    prompts = next(row for row in rows(record) if row["activity"].startswith("Sending prompts"))
    assert prompts["controller"] == "Music GmbH"
    assert prompts["representative_and_officer"] == "not stated"
    assert prompts["data_categories"] == "user.contact.email"
    assert "about 3" in prompts["data_subjects"]
    assert "Anthropic Ireland, Limited; sub-processors Cloud Co" in prompts["recipients"]
    assert {"IN", "US", "not known which"} <= set(prompts["third_countries"].split("; "))
    assert "mechanism/scc-anthropic" in prompts["safeguards"]
    assert prompts["erasure"] == "90 days, decided per task"
    assert prompts["decisions"].startswith("4 permitted, 1 refused")
    assert all(all(cell for cell in row) for row in record.rows)


def test_a_processors_record_has_a_row_for_each_customer() -> None:
    activity = gather(busy().entries)
    record = rows(processor_record(activity, FACTS, INSTALL))
    assert len(record) == 2 * len(controller_record(activity, FACTS, INSTALL).rows)
    assert {row["on_behalf_of"] for row in record} == {"Ana AG", "Ben SE"}


def test_the_transfer_register_tells_mechanism_assessment_and_what_has_none() -> None:
    register = {row["target"]: row for row in rows(transfer_register(gather(busy().entries), FACTS))}
    assert set(register) == {"endpoint anthropic", "endpoint nobody"}  # the European one never leaves home
    agreed = register["endpoint anthropic"]
    assert (agreed["regime"], agreed["restricted"], agreed["uncovered"]) == ("eu-gdpr", "yes", "IN; US")
    assert agreed["mechanism"] == "scc module 2 (mechanism/scc-anthropic)"
    assert agreed["assessment"] == "TIA-7, 2026-05-01, dpo"
    assert (agreed["permitted"], agreed["refused"]) == ("1", "1")
    assert register["endpoint nobody"]["mechanism"] == "none"
    assert register["endpoint nobody"]["uncovered"] == "unknown"


def test_the_sub_processor_list_names_owners_and_those_who_work_for_them() -> None:
    listed = {(row["company"], row["role"]): row for row in rows(sub_processor_list(gather(busy().entries), FACTS))}
    assert listed["Anthropic PBC", "processor"]["can_be_compelled_by"] == "US: CLOUD Act, seat of Anthropic PBC"
    assert listed["Maison", "processor"]["can_be_compelled_by"] == "FR: seat of Maison; US: seat of Holding"
    assert listed["Cloud Co", "sub-processor"]["works_for"] == "Anthropic PBC"
    assert listed["Python Software Foundation", "processor"]["used"] == "no"
    notes = sub_processor_list(gather(busy().entries), FACTS).notes
    assert any("endpoint nobody" in note for note in notes)


def test_dora_rows_fill_what_is_known_and_leave_the_rest_empty() -> None:
    providers, services, chain = dora_sheets(gather(busy().entries), FACTS)
    assert {row["RT.05.01.0050"] for row in rows(providers)} == {"Anthropic PBC", "Cloud Company Ltd", "Maison SAS"}
    anthropic = next(row for row in rows(services) if row["greylag.company"] == "Anthropic PBC")
    assert (anthropic["RT.02.02.0150"], anthropic["RT.02.02.0160"], anthropic["RT.02.02.0170"]) == (
        "US",
        "US",
        "Medium",
    )
    for sheet in (providers, services, chain):
        empty = [column.name for column in sheet.columns if not column.filled]
        assert empty
        assert all(row[name] == "" for row in rows(sheet) for name in empty)
    assert {(row["RT.05.02.0050"], row["greylag.company"]) for row in rows(chain)} >= {
        ("1", "Anthropic PBC"),
        ("2", "Cloud Co"),
    }


def test_a_period_and_a_repository_narrow() -> None:
    ledger = busy()
    ledger.task("task_2", "bank")
    assert gather(ledger.entries, Period(until="2026-11-02")).uses == ()
    assert gather(ledger.entries, Period(since="2026-11-03")).uses == ()
    assert {use.repository for use in gather(ledger.entries, repository="bank").uses} == {"bank"}
    whole = gather(ledger.entries, Period("2026-11-02", "2026-11-03"))
    assert sum(use.permitted + use.refused for use in whole.uses) == sum(
        entry["kind"] == "decision" for entry in ledger.entries
    )
    assert {use.repository for use in whole.uses if use.stage == "intake"} == {"music", "bank"}


@given(
    cells=st.lists(
        st.text(max_size=30)
        | st.sampled_from(["=cmd|' /C calc'!A0", "+1", "-2", "@SUM(A1)", "\t=1", "  =1", "\r=1", "\uff1d1"]),
        min_size=1,
        max_size=3,
    )
)
def test_no_cell_is_a_formula_and_every_cell_comes_back(cells: list[str]) -> None:
    sheet = Sheet("s", "t", tuple(Column(f"c{n}", "") for n in range(len(cells))), (tuple(cells),))
    text = sheet_csv(sheet)
    header, back = list(csv.reader(io.StringIO(text, newline="")))
    assert header == [f"c{n}" for n in range(len(cells))]
    for cell, read in zip(cells, back, strict=True):
        assert not read.lstrip(" ").startswith(
            ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
        )
        expected = "".join(" " if ord(c) < 32 and c not in "\t\r\n" else c for c in cell)
        assert read.removeprefix("'") == expected.removeprefix("'")
    json.dumps(sheet_document(sheet))


def test_hostile_names_stay_in_their_cells() -> None:
    ledger = SyntheticLedger()
    ledger.decide("prompt", '=HYPERLINK("http://evil","x")', Target("endpoint", '"; DROP\r\n=1'), label=PERSONAL)
    activity = gather(ledger.entries)
    for sheet in (controller_record(activity, FACTS, INSTALL), transfer_register(activity, FACTS)):
        read = list(csv.reader(io.StringIO(sheet_csv(sheet), newline="")))
        assert {len(row) for row in read} == {len(sheet.columns)}
        assert not any(cell.startswith("=") for row in read for cell in row)


def statement_of(ledger: SyntheticLedger, size: int = 9) -> dict[str, object]:
    found = project(ledger.entries, FACTS, query=Query(repository="music"))
    register = transfer_register(gather(ledger.entries, repository="music"), FACTS)
    note = sign_checkpoint(Checkpoint("greylag.ledger/local", size, b"\x01" * 32), _private())
    proofs = [DecisionProof(name, index, "0" * 64, ()) for name, index in wanted_proofs(found)]
    return customer_statement(
        Subject("repository", "music"), found, register, INSTALL, issued_at="2026-11-03T00:00:00Z", checkpoint=note,
        proofs=proofs,
    )  # fmt: skip


def _private():  # type: ignore[no-untyped-def]  # the key's class is only needed here
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

    return Ed25519PrivateKey.from_private_bytes(KEY)


def test_a_statement_says_where_who_how_and_what_was_refused_and_its_signature_holds() -> None:
    statement = statement_of(busy())
    envelope = envelope_bytes(sign_statement(statement, KEY))
    opened = verify_envelope(envelope, _private().public_key())
    assert opened == json.loads(json.dumps(statement))
    predicate = opened["predicate"]
    assert isinstance(predicate, dict)
    assert predicate["for"] == {"kind": "repository", "name": "music"}
    assert {each["target"] for each in predicate["where"]} >= {"store vault:local", "endpoint anthropic"}
    assert [each["target"] for each in predicate["refused"]] == ["endpoint anthropic"]
    assert {each["target"] for each in predicate["transfers"]} == {"endpoint anthropic", "endpoint nobody"}
    assert any(each["kind"] == "state" and each["name"] == "US" for each in predicate["whoCanRead"])
    assert (
        predicate["ledger"]["proofs"][0]["decision"] == predicate["refused"][0]["decision"]
    )  # refusals are proven first


def test_a_statement_about_an_empty_ledger_is_refused() -> None:
    with pytest.raises(RequestRefused, match="GL-EXPORT-002"):
        statement_of(SyntheticLedger(), size=0)


def test_retention_of_the_vault_is_told() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT)
    record = rows(controller_record(gather(ledger.entries), FACTS, INSTALL))
    assert record[0]["erasure"] == "not stated"
