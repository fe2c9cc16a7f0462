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
from greylag.governance.facts import Basis, FactBase, own_place, own_target, parse_facts

SHIPPED = Path(__file__).resolve().parents[3] / "policies" / "facts"
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
GIVEN: dict[str, Any] = {
    "source": "a test", "retrieved": date(2026, 1, 2), "status": "in_force", "certainty": "O",
}  # fmt: skip
PLACE: dict[str, Any] = {"name": "here", "jurisdiction": "DE", "zones": ["EU"], **GIVEN}
TARGET: dict[str, Any] = {
    "kind": "endpoint", "name": "model", "places": ["here"], "processor": "", "controlled_by": ["operator"],
    "pinned": True, "trains_by_default": False, "max_level": "restricted", **GIVEN,
}  # fmt: skip


def one(place: dict[str, Any] | None = None, target: dict[str, Any] | None = None) -> FactBase:
    return parse_facts({"schema_version": 1, "place": [PLACE | (place or {})], "target": [TARGET | (target or {})]})


def test_facts_are_read_as_they_stand() -> None:
    facts = one(target={"uncovered_surfaces": ["title", "file_names", "title"]})
    row = facts.target("endpoint", "model")
    assert row is not None
    assert (row.places, row.row, row.pinned, row.trains_by_default) == (("here",), "endpoint/model", True, False)
    assert row.uncovered_surfaces == ("file_names", "title")
    assert facts.place("here") is not None
    assert facts.target("store", "model") is None
    assert facts.target("endpoint", "models") is None
    assert facts.target("endpoint", "mode") is None


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"colour": "red"}, "GL-FACTS-002", "colour"),
        ({"kind": "planet"}, "GL-FACTS-003", "kind"),
        ({"kind": 3}, "GL-FACTS-003", "kind"),
        ({"name": ""}, "GL-FACTS-003", "name"),
        ({"name": "a b"}, "GL-FACTS-003", "name"),
        ({"name": "a\n"}, "GL-FACTS-003", "name"),
        ({"name": "mo*del"}, "GL-FACTS-003", "name"),
        ({"name": "*"}, "GL-FACTS-003", "name"),
        ({"name": "?"}, "GL-FACTS-003", "name"),
        ({"places": "here"}, "GL-FACTS-003", "places"),
        ({"places": [1]}, "GL-FACTS-003", "places"),
        ({"places": ["x"] * 257}, "GL-FACTS-003", "places"),
        ({"processor": "p" * 513}, "GL-FACTS-003", "processor"),
        ({"controlled_by": ["USA"]}, "GL-FACTS-003", "controlled_by"),
        ({"pinned": "yes"}, "GL-FACTS-003", "pinned"),
        ({"pinned": 1}, "GL-FACTS-003", "pinned"),
        ({"trains_by_default": "no"}, "GL-FACTS-003", "trains_by_default"),
        ({"trains_by_default": 0}, "GL-FACTS-003", "trains_by_default"),
        ({"max_level": "secret"}, "GL-FACTS-003", "max_level"),
        ({"max_level": 3}, "GL-FACTS-003", "max_level"),
        ({"retrieved": "2026-01-02"}, "GL-FACTS-003", "retrieved"),
        ({"retrieved": datetime(2026, 1, 2)}, "GL-FACTS-003", "retrieved"),  # noqa: DTZ001
        ({"status": "perhaps"}, "GL-FACTS-003", "status"),
        ({"certainty": "Z"}, "GL-FACTS-003", "certainty"),
        ({"source": ""}, "GL-FACTS-003", "source"),
        ({"places": ["anywhere"]}, "GL-FACTS-006", "pinned"),
        ({"places": []}, "GL-FACTS-006", "pinned"),
        ({"name": "model:*"}, "GL-FACTS-006", "name"),
        ({"kind": "host", "name": "pypi:*"}, "GL-FACTS-006", "name"),
        ({"kind": "environment", "name": "env*"}, "GL-FACTS-006", "name"),
        ({"source": "{secret}"}, "GL-FACTS-007", "source"),
    ],
)
def test_a_wrong_target_row_is_refused_by_name(change: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(OperatorError) as refused:
        one(target=change)
    assert refused.value.code == code
    assert field in refused.value.message
    assert "target 1" in refused.value.message
    assert refused.value.remedy
    if code != "GL-FACTS-002":
        assert "got/expected" in refused.value.message


@pytest.mark.parametrize(
    "change",
    [
        {"name": "anywhere"}, {"name": "unknown"}, {"name": "operator"}, {"name": "here:*"},
        {"jurisdiction": "Germany"}, {"jurisdiction": "de"}, {"zones": "EU"},
    ],
)  # fmt: skip
def test_a_wrong_place_row_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-003") as refused:
        one(place=change)
    assert "place 1" in refused.value.message


@pytest.mark.parametrize("field", sorted(TARGET))
def test_no_field_of_a_target_can_be_left_out(field: str) -> None:
    row = {name: value for name, value in TARGET.items() if name != field}
    with pytest.raises(OperatorError, match="GL-FACTS-003") as refused:
        parse_facts({"schema_version": 1, "target": [row]})
    assert f"`{field}`" in refused.value.message


@pytest.mark.parametrize(
    "data",
    [
        {}, {"schema_version": 2}, {"schema_version": True}, {"schema_version": 1, "targets": []},
        {"schema_version": 1, "target": {}}, {"schema_version": 1, "place": ["here"]},
    ],
)  # fmt: skip
def test_a_file_of_another_shape_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-001"):
        parse_facts(data)


def test_two_rows_about_one_thing_are_refused_and_an_overlay_replaces() -> None:
    facts = one()
    again = facts.targets[0]
    with pytest.raises(OperatorError, match="GL-FACTS-004") as refused:
        facts.with_rows(targets=[again])
    assert "endpoint/model" in refused.value.message
    lowered = one(target={"max_level": "public"})
    row = facts.overlaid_with(lowered).target("endpoint", "model")
    assert row is not None
    assert row.max_level == "public"


def test_a_place_without_a_row_is_named() -> None:
    facts = one(target={"places": ["atlantis"]})
    with pytest.raises(OperatorError, match="GL-FACTS-005") as refused:
        facts.require_places()
    assert "'atlantis'" in refused.value.message


def test_the_longest_prefix_wins_and_the_whole_name_wins_over_it() -> None:
    rows = [
        own_target("environment", name, "here", BASIS, max_level=level)
        for name, level in (
            ("environment:*", "public"),
            ("environment:a/*", "internal"),
            ("environment:a/b", "restricted"),
        )
    ]
    facts = FactBase((own_place("here", BASIS),), tuple(rows))
    levels = {
        name: row.max_level
        for name in ("environment:x", "environment:a/c", "environment:a/b", "environment:a/bc")
        if (row := facts.target("environment", name)) is not None
    }
    assert levels == {
        "environment:x": "public", "environment:a/c": "internal", "environment:a/b": "restricted",
        "environment:a/bc": "internal",
    }  # fmt: skip
    assert facts.target("environment", "environmental") is None
    assert facts.target("store", "environment:a/b") is None
    assert facts.target("environment", "environment:*") is None, "nobody's name ends in a star"


@pytest.mark.parametrize("status", ["proposed", "withdrawn"])
def test_a_row_not_in_force_makes_its_target_unknown_even_under_a_wider_row(status: str) -> None:
    basis = Basis("a test", date(2026, 1, 2), status, "O")
    rows = (
        own_target("environment", "environment:*", "here", BASIS),
        own_target("environment", "environment:a/b", "here", basis),
    )
    facts = FactBase((own_place("here", BASIS), own_place("there", basis)), rows)
    assert facts.target("environment", "environment:a/b") is None
    assert facts.target("environment", "environment:a/c") is not None
    assert facts.place("there") is None


def test_a_star_in_a_host_row_made_by_hand_covers_nothing() -> None:
    row = own_target("environment", "environment:*", "here", BASIS)
    by_hand = type(row)(
        kind="host", name="pypi*", places=row.places, processor="", controlled_by=row.controlled_by, pinned=True,
        trains_by_default=False, max_level="restricted", basis=BASIS,
    )  # fmt: skip
    assert FactBase(targets=(by_hand,)).target("host", "pypi.evil.example") is None


def test_the_digest_is_of_the_rows_and_not_of_their_order() -> None:
    a, b = own_target("store", "vault:a", "here", BASIS), own_target("store", "vault:b", "here", BASIS)
    assert FactBase(targets=(a, b)).digest() == FactBase(targets=(b, a)).digest()
    assert FactBase(targets=(a,)).digest() != FactBase(targets=(b,)).digest()
    lowered = own_target("store", "vault:a", "here", BASIS, max_level="public")
    assert FactBase(targets=(a,)).digest() != FactBase(targets=(lowered,)).digest()


def test_the_shipped_facts_can_be_read_and_say_what_they_must() -> None:
    variables = {"region": "frankfurt", "jurisdiction": "DE"}
    facts = FactBase()
    for path in sorted(SHIPPED.glob("*.toml")):
        facts = facts.overlaid_with(parse_facts(tomllib.loads(path.read_text()), variables))
    facts.require_places()
    far = facts.target("endpoint", "anthropic")
    assert far is not None
    assert (far.pinned, far.controlled_by, far.places, far.max_level) == (False, ("US",), ("anywhere",), "internal")
    scripted, vault = facts.target("endpoint", "scripted"), facts.target("store", "vault:frankfurt")
    assert scripted is not None
    assert scripted.processor == ""
    assert vault is not None
    assert vault.places == ("frankfurt",)
    assert facts.target("host", "pypi.org") is not None
    assert facts.target("host", "pypi.org.evil.example") is None


def test_the_own_region_file_needs_its_variables() -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-007"):
        parse_facts(tomllib.loads((SHIPPED / "own-region.toml").read_text()))


@given(
    st.dictionaries(
        st.sampled_from([*TARGET, "zones", "x"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.lists(st.text(max_size=4), max_size=3)
        ),
    )
)
def test_any_row_is_either_read_or_refused_as_the_operators_fault(change: dict[str, Any]) -> None:
    with contextlib.suppress(OperatorError):
        facts = one(target=change)
        assert len(facts.targets) == 1
        facts.digest()
