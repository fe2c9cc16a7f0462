"""A book as a whole: names lead somewhere, nothing is above itself, and what is stale or rests on nothing is told."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from greylag.domain.errors import OperatorError
from greylag.governance.facts import (
    Adequacy,
    Basis,
    Certification,
    Control,
    FactBook,
    Jurisdiction,
    Law,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    TargetFact,
    Zone,
    lint,
    own_target,
    require_sound,
    stale,
)

DAY = date(2026, 6, 1)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
COMPANY = Processor("Vendor", "Vendor, Inc.", "US", BASIS, operates_in=("here",))
TARGET = replace(own_target("endpoint", "model", "here", BASIS, max_level="closed"), processor="Vendor")
REGIME = Regime("eu", "EU", ("user",), ("zone:EU",), ("zone:EU",), BASIS)
ADEQUACY = Adequacy("a", "eu", ("zone:EU",), ("US",), "x", BASIS)
MECHANISM = Mechanism("m", "scc", "eu", "Vendor", ("US",), BASIS)
SOUND = FactBook(
    (
        Jurisdiction("DE", "Germany", BASIS), Jurisdiction("US", "USA", BASIS), Zone("EU", ("DE",), BASIS),
        Place("here", ("DE",), BASIS), COMPANY, TARGET, REGIME, ADEQUACY, MECHANISM,
        Certification("Vendor", "dpf", BASIS), Opening("endpoint", "model", "public", BASIS),
        Law("l", "a body of law that is no regime", "scope", "title", "clause", BASIS),
    )
)  # fmt: skip


def codes(book: FactBook, today: date = DAY) -> list[tuple[str, str, str]]:
    return [(each.code, each.row, each.severity) for each in lint(book, today)]


def test_a_sound_book_has_nothing_to_say() -> None:
    assert lint(SOUND, DAY) == ()
    assert require_sound(SOUND) is SOUND
    unknown = replace(TARGET, processor="unknown", processing=("anywhere",), support=("unknown",), pinned=False)
    assert lint(SOUND.replaced(unknown), DAY) == ()


@pytest.mark.parametrize(
    ("row", "field", "kind", "name"),
    [
        (Jurisdiction("DE-BY", "Bavaria", BASIS, "XX"), "within", "jurisdiction", "XX"),
        (Zone("EU", ("DE", "UK"), BASIS), "members", "jurisdiction", "UK"),
        (Zone("EU", ("DE", "zone:EUR"), BASIS), "members", "zone", "EUR"),
        (Place("there", ("XX",), BASIS), "jurisdictions", "jurisdiction", "XX"),
        (replace(COMPANY, seat="XX"), "seat", "jurisdiction", "XX"),
        (replace(COMPANY, controlled_by=(Control("XX", "why"),)), "controlled_by", "jurisdiction", "XX"),
        (replace(COMPANY, parents=("Vendors",)), "parents", "processor", "Vendors"),
        (replace(COMPANY, operates_in=("there",)), "operates_in", "place", "there"),
        (Certification("Vendors", "dpf", BASIS), "processor", "processor", "Vendors"),
        (replace(TARGET, processor="Vendors"), "processor", "processor", "Vendors"),
        (replace(TARGET, sub_processors=("Vendors",)), "sub_processors", "processor", "Vendors"),
        (replace(TARGET, processing=("hare",)), "processing", "place", "hare"),
        (replace(TARGET, storage=("zone:E",)), "storage", "zone", "E"),
        (replace(TARGET, support=("XX",)), "support", "jurisdiction", "XX"),
        (replace(TARGET, control_plane=("there",)), "control_plane", "place", "there"),
        (replace(TARGET, weights_from=("XX",)), "weights_from", "jurisdiction", "XX"),
        (Opening("endpoint", "modell", "public", BASIS), "name", "target", "endpoint/modell"),
        (replace(REGIME, origins=("zone:E",)), "origins", "zone", "E"),
        (replace(REGIME, home=("XX",)), "home", "jurisdiction", "XX"),
        (replace(ADEQUACY, regime="ue"), "regime", "regime", "ue"),
        (replace(ADEQUACY, exporters=("XX",)), "exporters", "jurisdiction", "XX"),
        (replace(ADEQUACY, importers=("zone:E",)), "importers", "zone", "E"),
        (replace(MECHANISM, regime="ue"), "regime", "regime", "ue"),
        (replace(MECHANISM, processor="Vendors"), "processor", "processor", "Vendors"),
        (replace(MECHANISM, importers=("XX",)), "importers", "jurisdiction", "XX"),
    ],
)
def test_a_name_that_leads_nowhere_is_told(row: Row, field: str, kind: str, name: str) -> None:
    book = SOUND.replaced(row)
    with pytest.raises(OperatorError, match="GL-FACTS-005") as refused:
        require_sound(book)
    message = refused.value.message
    assert f"`{row.row}`" in message
    assert f"field `{field}`" in message
    assert f"there is no {kind} {name!r}" in message
    assert f"`[[{kind}]]`" in refused.value.remedy
    assert ("GL-FACTS-005", row.row, "error") in codes(book)


def test_a_slip_of_the_pen_is_told_with_what_is_near() -> None:
    with pytest.raises(OperatorError, match="near to it: 'Vendor'"):
        require_sound(SOUND.replaced(replace(TARGET, processor="Vendr")))


def test_taking_a_row_away_leaves_ends_that_are_told() -> None:
    for name in ("zone/EU", "place/here", "processor/Vendor", "regime/eu", "jurisdiction/US", "endpoint/model"):
        with pytest.raises(OperatorError, match="GL-FACTS-005"):
            require_sound(SOUND.without(name))


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        (
            (replace(COMPANY, parents=("B",)), replace(COMPANY, name="B", parents=("C",)),
             replace(COMPANY, name="C", parents=("B",))),
            "`B` → `C` → `B`",
        ),
        ((Zone("EU", ("DE", "zone:EU"), BASIS),), "`EU` → `EU`"),
        ((Zone("EU", ("zone:X",), BASIS), Zone("X", ("zone:EU", "DE"), BASIS, "p")), "`EU` → `X` → `EU`"),
        (
            (Jurisdiction("DE", "Germany", BASIS, "US"), Jurisdiction("US", "USA", BASIS, "DE")),
            "`DE` → `US` → `DE`",
        ),
    ],
)  # fmt: skip
def test_what_stands_above_itself_is_told(rows: tuple[Row, ...], path: str) -> None:
    with pytest.raises(OperatorError, match="GL-FACTS-010") as refused:
        require_sound(SOUND.overlaid_with(FactBook(rows)))
    assert path in refused.value.message
    assert refused.value.remedy


def test_two_companies_may_change_places_over_time() -> None:
    early, late = replace(BASIS, valid_to=date(2026, 5, 1)), replace(BASIS, valid_from=date(2026, 5, 1))
    rows = (
        replace(COMPANY, parents=("B",), basis=early), replace(COMPANY, basis=late),
        replace(COMPANY, name="B", basis=early), replace(COMPANY, name="B", parents=("Vendor",), basis=late),
    )  # fmt: skip
    assert require_sound(SOUND.overlaid_with(FactBook(rows)))
    overlap = replace(rows[1], parents=("B",))
    with pytest.raises(OperatorError, match="GL-FACTS-010"):
        require_sound(SOUND.overlaid_with(FactBook((rows[0], overlap, *rows[2:]))))


def test_a_chain_of_companies_may_be_long() -> None:
    rows = [replace(COMPANY, name=f"C{number}", parents=(f"C{number + 1}",)) for number in range(3000)]
    assert require_sound(SOUND.overlaid_with(FactBook((*rows, replace(COMPANY, name="C3000")))))


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"certainty": "A"}, [("GL-FACTS-011", "error")]),
        ({"certainty": "K"}, [("GL-FACTS-011", "error")]),
        ({"certainty": "M"}, []),
        ({"certainty": "A", "review_by": DAY}, []),
        ({"certainty": "A", "review_by": date(2026, 5, 31)}, [("GL-FACTS-012", "error")]),
        ({"certainty": "A", "review_by": date(2026, 5, 31), "status": "annulled"}, []),
        ({"retrieved": date(2026, 6, 2)}, [("GL-FACTS-013", "warning")]),
        ({"known_from": date(2026, 6, 2)}, [("GL-FACTS-013", "warning")]),
    ],
)
def test_what_is_said_of_a_rows_basis(change: dict[str, Any], found: list[tuple[str, str]]) -> None:
    row = Law("l", "", "scope", "title", "clause", replace(BASIS, **change))
    assert [(code, severity) for code, name, severity in codes(SOUND.overlaid_with(FactBook((row,))))] == found


def test_a_certificate_that_nobody_can_hold_is_told() -> None:
    assert codes(SOUND.replaced(replace(ADEQUACY, certified=("dpf", "dfp")))) == [
        ("GL-FACTS-014", "adequacy/a", "warning")
    ]


def test_an_opening_of_what_is_unknown_today_is_told() -> None:
    gone = replace(TARGET, basis=replace(BASIS, status="withdrawn"))
    assert codes(SOUND.replaced(gone)) == [("GL-FACTS-015", "opening/endpoint/model", "warning")]


def test_what_is_open_on_unchecked_facts_is_told() -> None:
    unchecked = Place("here", ("DE",), replace(BASIS, certainty="K", review_by=date(2027, 1, 1)))
    book = SOUND.replaced(unchecked)
    assert codes(book) == [("GL-FACTS-016", "endpoint/model", "warning")]
    closed = FactBook(tuple(row for row in book.rows if not isinstance(row, Opening)))
    assert codes(closed) == []
    assert isinstance(closed.versions("endpoint/model")[0], TargetFact)


def test_stale_rows_are_those_that_count_and_are_overdue_longest_first() -> None:
    def law(name: str, **change: Any) -> Law:
        return Law(name, "", "scope", "title", "clause", replace(BASIS, **change))

    book = FactBook(
        (
            law("fresh", review_by=DAY), law("late", review_by=date(2026, 5, 31)),
            law("later", review_by=date(2026, 3, 1)), law("never"),
            law("annulled", review_by=date(2026, 3, 1), status="annulled"),
            law("again", review_by=date(2026, 3, 1)),
            law("again", review_by=date(2027, 3, 1), known_from=date(2026, 4, 1)),
            law("over", review_by=date(2026, 3, 1), valid_to=DAY),
        )
    )  # fmt: skip
    assert [row.row for row in stale(book, DAY)] == ["law/later", "law/late"]
    assert stale(book, date(2026, 3, 1)) == ()
