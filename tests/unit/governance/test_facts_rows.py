"""Facts: what is not said is unknown, and every wrong row is refused with its name, field and got/expected."""

import contextlib
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import OperatorError
from greylag.governance.facts import (
    Basis,
    FactBook,
    TargetFact,
    dump_facts,
    own_place,
    own_target,
    parse_facts,
    read_rows,
)

SHIPPED = Path(__file__).resolve().parents[3] / "policies" / "facts"
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
GIVEN: dict[str, Any] = {
    "source": "a test", "retrieved": date(2026, 1, 2), "status": "in_force", "certainty": "O",
}  # fmt: skip
#: One row of each table that can be read, with what it needs and no more.
ROWS: dict[str, dict[str, Any]] = {
    "jurisdiction": {"code": "DE", "name": "Germany", **GIVEN},
    "zone": {"name": "EEA", "members": ["DE", "zone:EU27", "operator"], **GIVEN},
    "place": {"name": "here", "jurisdictions": ["DE"], **GIVEN},
    "processor": {"name": "Some Company, Inc.", "legal_entity": "Some Company, Inc.", "seat": "US", **GIVEN},
    "certification": {"processor": "Some Company, Inc.", "scheme": "dpf", **GIVEN},
    "target": {
        "kind": "endpoint", "name": "model", "places": ["here"], "processor": "", "pinned": True,
        "trains_by_default": False, **GIVEN,
    },
    "opening": {"kind": "endpoint", "name": "model", "max_level": "internal", **GIVEN},
    "regime": {
        "name": "eu-gdpr", "title": "GDPR", "classes": ["user"], "origins": ["zone:EEA"], "home": ["zone:EEA"],
        **GIVEN,
    },
    "adequacy": {
        "name": "eu-jp", "regime": "eu-gdpr", "exporters": ["zone:EEA"], "importers": ["JP"], "instrument": "2019/419",
        **GIVEN,
    },
    "mechanism": {
        "name": "scc-some", "kind": "scc", "regime": "eu-gdpr", "processor": "Some Company, Inc.", "importers": ["US"],
        **GIVEN,
    },
    "law": {"name": "gdpr-art-44", "regime": "eu-gdpr", "kind": "scope", "title": "Transfers", "clause": "44", **GIVEN},
}  # fmt: skip


def one(table: str = "target", **change: Any) -> FactBook:
    row = {name: value for name, value in (ROWS[table] | change).items() if value is not ...}
    return parse_facts({"schema_version": 2, table: [row]})


@pytest.mark.parametrize("table", sorted(ROWS))
def test_a_row_of_each_table_is_read(table: str) -> None:
    (row,) = one(table).rows
    assert row.basis == BASIS
    assert row.row.startswith(f"{table}/" if table != "target" else "endpoint/")


def test_a_target_is_read_as_it_stands() -> None:
    (row,) = one(
        processor="Some Company, Inc.", places=..., processing=["zone:EU27", "here"], support=["US"],
        uncovered_surfaces=["title", "file_names", "title"], retention_days=30, hosts=["api.example.com:443"],
        weights_from=["CN"], price_permille=1100, sub_processors=["Other"],
    ).rows  # fmt: skip
    assert isinstance(row, TargetFact)
    assert (row.processing, row.storage, row.support) == (("here", "zone:EU27"), ("unknown",), ("US",))
    assert (row.control_plane, row.max_level, row.retention_days) == (("unknown",), "closed", 30)
    assert (row.uncovered_surfaces, row.price_permille) == (("file_names", "title"), 1100)
    (short,) = one(trains_by_default="unknown", retention_days="unknown").rows
    assert isinstance(short, TargetFact)
    assert short.processing == short.storage == short.support == short.control_plane == ("here",)
    assert (short.trains_by_default, short.retention_days) == (None, None)


@pytest.mark.parametrize(
    ("table", "change", "code", "field"),
    [
        ("target", {"colour": "red"}, "002", "colour"),
        ("target", {"controlled_by": ["US"]}, "002", "controlled_by"),
        ("target", {"kind": "planet"}, "003", "kind"),
        ("target", {"kind": 3}, "003", "kind"),
        ("target", {"name": ""}, "003", "name"),
        ("target", {"name": "a b"}, "003", "name"),
        ("target", {"name": "a\n"}, "003", "name"),
        ("target", {"name": "mo*del"}, "003", "name"),
        ("target", {"name": "*"}, "003", "name"),
        ("target", {"source": "half a sign: \ud800"}, "003", "source"),
        ("target", {"places": "here"}, "003", "places"),
        ("target", {"places": ["\ud800"]}, "003", "places"),
        ("target", {"places": [1]}, "003", "places"),
        ("target", {"places": []}, "003", "places"),
        ("target", {"places": ["x"] * 257}, "003", "places"),
        ("target", {"places": ["zone:"]}, "003", "places"),
        ("target", {"places": ["operator"]}, "003", "places"),
        ("target", {"processor": "p" * 1025}, "003", "processor"),
        ("target", {"processor": "a/b"}, "003", "processor"),
        ("target", {"pinned": "yes"}, "003", "pinned"),
        ("target", {"pinned": 1}, "003", "pinned"),
        ("target", {"trains_by_default": "no"}, "003", "trains_by_default"),
        ("target", {"trains_by_default": 0}, "003", "trains_by_default"),
        ("target", {"max_level": "secret"}, "003", "max_level"),
        ("target", {"retention_days": -1}, "003", "retention_days"),
        ("target", {"retention_days": True}, "003", "retention_days"),
        ("target", {"hosts": ["https://a.example"]}, "003", "hosts"),
        ("target", {"retrieved": "2026-13-02"}, "003", "retrieved"),
        ("target", {"retrieved": "2 January"}, "003", "retrieved"),
        ("target", {"retrieved": datetime(2026, 1, 2)}, "003", "retrieved"),  # noqa: DTZ001
        ("target", {"retrieved": date(1, 1, 1)}, "003", "retrieved"),
        ("target", {"review_by": date(9999, 12, 31)}, "003", "review_by"),
        ("target", {"review_by": None}, "003", "review_by"),
        ("target", {"status": "perhaps"}, "003", "status"),
        ("target", {"certainty": "Z"}, "003", "certainty"),
        ("target", {"source": ""}, "003", "source"),
        ("target", {"places": ["anywhere"]}, "006", "pinned"),
        ("target", {"places": ...}, "006", "pinned"),
        ("target", {"processing": ["here"]}, "006", "places"),
        ("target", {"name": "model:*"}, "006", "name"),
        ("target", {"kind": "host", "name": "pypi:*"}, "006", "name"),
        ("target", {"kind": "environment", "name": "env*"}, "006", "name"),
        ("target", {"sub_processors": ["Other"]}, "006", "sub_processors"),
        ("target", {"valid_from": date(2026, 5, 1), "valid_to": date(2026, 5, 1)}, "006", "valid_to"),
        ("target", {"valid_from": "2026-05-02", "valid_to": "2026-05-01"}, "006", "valid_to"),
        ("target", {"review_by": date(2026, 1, 1)}, "006", "review_by"),
        ("target", {"source": "{secret}"}, "007", "source"),
        ("jurisdiction", {"code": "Germany"}, "003", "code"),
        ("jurisdiction", {"code": "CA-QC"}, "006", "within"),
        ("zone", {"members": []}, "003", "members"),
        ("zone", {"members": ["anywhere"]}, "003", "members"),
        ("zone", {"members": ["Germany"]}, "003", "members"),
        ("zone", {"name": "EEA/part"}, "003", "name"),
        ("place", {"name": "anywhere"}, "003", "name"),
        ("place", {"name": "operator"}, "003", "name"),
        ("place", {"name": "DE"}, "003", "name"),
        ("place", {"name": "zone:EEA"}, "003", "name"),
        ("place", {"name": "here:*"}, "003", "name"),
        ("place", {"jurisdictions": ["Germany"]}, "003", "jurisdictions"),
        ("place", {"jurisdictions": ["zone:EEA"]}, "003", "jurisdictions"),
        ("processor", {"name": "unknown"}, "003", "name"),
        ("processor", {"name": "two\nlines"}, "003", "name"),
        ("processor", {"seat": "USA"}, "003", "seat"),
        ("processor", {"parents": ["Some Company, Inc."]}, "006", "parent"),
        ("processor", {"controlled_by": ["US"]}, "003", "controlled_by"),
        ("processor", {"controlled_by": [{"country": "US"}]}, "003", "basis"),
        ("processor", {"controlled_by": [{"country": "US", "basis": "x", "y": 1}]}, "002", "y"),
        ("processor", {"sector": "both"}, "003", "sector"),
        ("opening", {"max_level": "closed"}, "003", "max_level"),
        ("regime", {"classes": []}, "003", "classes"),
        ("regime", {"classes": ["User"]}, "003", "classes"),
        ("regime", {"home": ["anywhere"]}, "003", "home"),
        ("adequacy", {"importers": ["unknown"]}, "003", "importers"),
        ("adequacy", {"sectors": ["unknown"]}, "003", "sectors"),
        ("mechanism", {"kind": "handshake"}, "003", "kind"),
        ("mechanism", {"assessment": "TIA 1"}, "006", "assessed_on"),
        ("mechanism", {"assessed_on": date(2026, 1, 1)}, "006", "assessment"),
        ("law", {"kind": "poem"}, "003", "kind"),
    ],
)
def test_a_wrong_row_is_refused_by_name(table: str, change: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(OperatorError) as refused:
        one(table, **change)
    assert refused.value.code == f"GL-FACTS-{code}"
    assert field in refused.value.message
    assert f"{table} 1" in refused.value.message
    assert refused.value.remedy
    if code != "002" and field != "parent":
        assert "got/expected" in refused.value.message


@pytest.mark.parametrize(
    ("table", "field"),
    [
        (table, field)
        for table, row in ROWS.items()
        for field in row
        if (table, field) not in {("target", "places"), ("law", "regime")}
    ],
)
def test_no_needed_field_can_be_left_out(table: str, field: str) -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-003") as refused:
        one(table, **{field: ...})
    assert f"`{field}`" in refused.value.message


@pytest.mark.parametrize(
    "data",
    [
        {}, {"schema_version": 1}, {"schema_version": 3}, {"schema_version": True}, {"schema_version": "2"},
        {"schema_version": 2, "targets": []}, {"schema_version": 2, "target": {}},
        {"schema_version": 2, "place": ["here"]},
    ],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-001"):
        parse_facts(data)


def test_rows_of_the_first_version_are_told_what_changed() -> None:
    with pytest.raises(OperatorError) as refused:
        parse_facts({"schema_version": 1, "place": [ROWS["place"]]})
    assert "controlled_by" in refused.value.remedy
    assert "policies/README.md" in refused.value.remedy


def test_all_mistakes_of_a_file_can_be_told_at_once() -> None:
    rows = [ROWS["place"] | {"name": "a b"}, ROWS["place"], ROWS["place"] | {"colour": "red"}]
    found = list(read_rows({"schema_version": 2, "place": rows}))
    assert [getattr(each, "code", "fine") for each in found] == ["GL-FACTS-003", "fine", "GL-FACTS-002"]


def test_two_rows_about_one_thing_are_versions_only_if_their_days_differ() -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-004") as refused:
        parse_facts({"schema_version": 2, "place": [ROWS["place"], ROWS["place"] | {"note": "again"}]})
    assert "place/here" in refused.value.message
    later = ROWS["place"] | {"known_from": date(2026, 3, 1)}
    assert len(parse_facts({"schema_version": 2, "place": [ROWS["place"], later]}).rows) == 2


def test_braces_are_variables_or_written_twice() -> None:
    data: dict[str, Any] = {
        "schema_version": 2,
        "place": [ROWS["place"] | {"name": "{region}", "note": "{{region}} }}"}],
    }
    (row,) = parse_facts(data, {"region": "oslo"}).rows
    assert (row.row, row.basis.note) == ("place/oslo", "{region} }")
    with pytest.raises(OperatorError, match="GL-FACTS-007"):
        parse_facts(data, {"reggion": "oslo"})


def test_what_the_operator_runs_is_in_one_place_and_its_own() -> None:
    row = own_target("store", "vault:here", "here", BASIS)
    assert {row.processing, row.storage, row.support, row.control_plane} == {("here",)}
    assert (row.processor, row.pinned, row.trains_by_default, row.max_level) == ("", True, False, "restricted")
    assert own_place("here", BASIS).jurisdictions == ("unknown",)
    assert own_place("here", BASIS, jurisdiction="CA-QC").jurisdictions == ("CA-QC",)
    with pytest.raises(OperatorError, match="GL-FACTS-003"):
        own_place("here", BASIS, jurisdiction="Canada")
    with pytest.raises(OperatorError, match="GL-FACTS-006"):
        own_target("store", "vault:here", "unknown", BASIS)


def test_the_own_region_file_needs_its_variables() -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-007"):
        parse_facts(tomllib.loads((SHIPPED / "own-region.toml").read_text()))


SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 40_000), st.text(max_size=8), st.dates(),
    st.sampled_from(["DE", "zone:EEA", "anywhere", "unknown", "here", "{x}", "{{", "\ud800", "2026-01-02", 0.5]),
)  # fmt: skip
ANYTHING = st.one_of(
    SCALAR, st.lists(SCALAR, max_size=3), st.dictionaries(st.sampled_from(["country", "basis"]), SCALAR, max_size=2)
)


@given(data=st.data())
def test_any_row_is_either_read_or_refused_as_the_operators_fault(data: st.DataObject) -> None:
    table = data.draw(st.sampled_from(sorted(ROWS)))
    change = data.draw(st.dictionaries(st.sampled_from([*ROWS[table], "note", "part", "parents", "x"]), ANYTHING))
    with contextlib.suppress(OperatorError):
        book = parse_facts({"schema_version": 2, table: [ROWS[table] | change]})
        assert len(book.rows) == 1
        assert parse_facts(dump_facts(book)) == book
        book.digest()


@given(st.dictionaries(st.sampled_from(["schema_version", "missing", *ROWS]), ANYTHING))
def test_any_document_is_either_read_or_refused(data: dict[str, Any]) -> None:
    with contextlib.suppress(OperatorError):
        parse_facts({"schema_version": 2, **data})
