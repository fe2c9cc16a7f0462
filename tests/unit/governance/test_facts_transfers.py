"""Transfers: adequacy is a relation of exporter, importer, sector, recipient, data and day; ignorance never helps."""

import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.domain.labels import Label
from greylag.governance.facts import (
    Adequacy,
    Basis,
    Certification,
    FactBase,
    FactBook,
    Jurisdiction,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    TargetFact,
    Transfer,
    Zone,
    own_place,
    own_target,
)

DAY = date(2026, 6, 1)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
CODES = ("DE", "FR", "IS", "GB", "US", "JP", "CA", "BR", "CN")

GROUND: tuple[Row, ...] = (
    *(Jurisdiction(code, code, BASIS) for code in CODES),
    Jurisdiction("CA-QC", "Québec", BASIS, "CA", own_regime=True),
    Jurisdiction("CA-ON", "Ontario", BASIS, "CA"),
    Zone("EU", ("DE", "FR"), BASIS),
    Zone("EEA", ("zone:EU",), BASIS, "union"),
    Zone("EEA", ("IS",), BASIS, "others"),
    Regime("eu", "EU law", ("user",), ("zone:EEA",), ("zone:EEA",), BASIS),
    Regime("uk", "UK law", ("user",), ("GB",), ("GB",), BASIS),
    Regime("quebec", "Québec's law", ("user",), ("CA-QC",), ("CA-QC",), BASIS),
    Adequacy("eu-gb", "eu", ("zone:EEA",), ("GB",), "a decision", BASIS),
    Adequacy("eu-br", "eu", ("zone:EU",), ("BR",), "a decision", BASIS),
    Adequacy("eu-ca", "eu", ("zone:EEA",), ("CA",), "a decision", BASIS, sectors=("commercial",)),
    Adequacy(
        "eu-us", "eu", ("zone:EEA",), ("US",), "a decision", BASIS, certified=("dpf",), except_classes=("user.staff",)
    ),
    Processor("Vendor", "Vendor, Inc.", "US", BASIS, operates_in=("US",)),
    Processor("Helper", "Helper, Inc.", "US", BASIS, operates_in=("US",)),
    own_place("here", BASIS, jurisdiction="DE"),
)


def vendor(*places: str, **fields: Any) -> TargetFact:
    row = replace(own_target("endpoint", "model", "here", BASIS), processor="Vendor")
    roles = dict.fromkeys(("processing", "storage", "support", "control_plane"), places)
    return replace(row, **{**roles, **fields})


def base_of(*rows: Row) -> FactBase:
    return FactBook(GROUND).overlaid_with(FactBook(rows)).as_of(DAY, DAY)


def label(*origins: str, classes: tuple[str, ...] = ("user.contact.email",)) -> Label:
    return Label.of("internal", classes=classes, origins=origins)


def asked(regime: str, data: Label, target: TargetFact, *rows: Row) -> Transfer:
    base = base_of(target, *rows)
    found = base.target("endpoint", "model")
    assert found is not None
    return base.transfer(regime, data, found)


CERTIFIED = Certification("Vendor", "dpf", BASIS)


@pytest.mark.parametrize(
    ("regime", "origins", "places", "leaves", "uncovered"),
    [
        ("eu", ["DE"], ["DE"], False, set()),
        ("eu", ["DE"], ["FR", "IS"], False, set()),
        ("eu", ["DE"], ["GB"], True, set()),
        ("eu", ["DE"], ["GB", "JP"], True, {"JP"}),
        ("eu", ["DE"], ["BR"], True, set()),
        ("eu", ["IS"], ["BR"], True, {"BR"}),
        ("eu", ["DE", "IS"], ["BR"], True, {"BR"}),
        ("eu", ["DE", "GB"], ["BR"], True, set()),
        ("eu", [], ["BR"], True, {"BR"}),
        ("eu", ["unknown"], ["BR"], True, {"BR"}),
        ("eu", ["DE", "unknown"], ["BR"], True, {"BR"}),
        ("eu", ["XX"], ["BR"], True, {"BR"}),
        ("eu", ["US"], ["BR"], True, {"BR"}),
        ("eu", ["unknown"], ["GB"], True, set()),
        ("eu", [], ["DE"], False, set()),
        ("eu", ["DE"], ["anywhere"], True, {"anywhere"}),
        ("eu", ["DE"], ["DE", "unknown"], True, {"unknown"}),
        ("eu", ["DE"], ["atlantis"], True, {"unknown"}),
        ("eu", ["DE"], ["CA-ON"], True, set()),
        ("eu", ["DE"], ["CA-QC"], True, {"CA-QC"}),
        ("uk", ["GB"], ["DE"], True, {"DE"}),
        ("uk", ["GB"], ["GB"], False, set()),
        ("quebec", ["CA-QC"], ["CA-QC"], False, set()),
        ("quebec", ["CA-QC"], ["CA-ON"], True, {"CA-ON"}),
        ("quebec", ["CA"], ["CA"], True, {"CA"}),
        ("nobody's", ["DE"], ["DE"], True, {"DE"}),
    ],
)
def test_where_data_may_go(
    regime: str, origins: list[str], places: list[str], leaves: bool, uncovered: set[str]
) -> None:
    found = asked(regime, label(*origins), vendor(*places))
    assert (found.leaves, found.uncovered) == (leaves, uncovered)


def test_the_part_of_a_country_is_what_an_exporter_must_be() -> None:
    toward = Adequacy("q", "quebec", ("CA-QC",), ("DE",), "an instrument", BASIS)
    assert asked("quebec", label("CA"), vendor("DE"), toward).uncovered == set()
    assert asked("quebec", label("CA-QC"), vendor("DE"), toward).uncovered == set()
    assert asked("quebec", label("unknown"), vendor("DE"), toward).uncovered == set()


def test_an_adequacy_for_the_certified_holds_for_them_alone() -> None:
    assert asked("eu", label("DE"), vendor("US")).uncovered == {"US"}
    found = asked("eu", label("DE"), vendor("US"), CERTIFIED)
    assert found.uncovered == set()
    assert {"adequacy/eu-us", "certification/Vendor/dpf", "processor/Vendor", "regime/eu"} <= set(found.rows)
    other = Certification("Vendor", "dpf-hr", BASIS)
    assert asked("eu", label("DE"), vendor("US"), other).uncovered == {"US"}


@pytest.mark.parametrize(
    ("helper", "uncovered"),
    [
        (None, {"US"}),
        (Processor("Helper", "H", "US", BASIS, operates_in=("DE",)), set()),
        (Processor("Helper", "H", "US", BASIS, operates_in=("anywhere",)), {"US", "anywhere"}),
        (Processor("Helper", "H", "US", BASIS), {"US", "unknown"}),
        (Certification("Helper", "dpf", BASIS), set()),
    ],
)
def test_a_sub_processor_reached_there_needs_the_certificate_too(helper: Row | None, uncovered: set[str]) -> None:
    rows = (CERTIFIED, *((helper,) if helper else ()))
    assert asked("eu", label("DE"), vendor("US", sub_processors=("Helper",)), *rows).uncovered == uncovered


@pytest.mark.parametrize(("sector", "uncovered"), [("commercial", set()), ("public", {"CA"}), ("unknown", {"CA"})])
def test_an_adequacy_for_a_sector_holds_for_it_alone(sector: str, uncovered: set[str]) -> None:
    row = Processor("Vendor", "Vendor, Inc.", "US", BASIS, sector=sector)
    assert asked("eu", label("DE"), vendor("CA"), row).uncovered == uncovered


def test_a_company_without_a_row_and_the_operator_are_of_no_known_sector() -> None:
    assert asked("eu", label("DE"), vendor("CA", processor="Nobody")).uncovered == {"CA"}
    assert asked("eu", label("DE"), vendor("CA", processor="")).uncovered == {"CA"}
    assert asked("eu", label("DE"), vendor("GB", processor="")).uncovered == set()


@pytest.mark.parametrize(
    ("classes", "uncovered"),
    [
        (("user.contact",), set()),
        (("user.staff",), {"US"}),
        (("user.staff.payroll", "code"), {"US"}),
        (("user.staffing",), set()),
        (("user",), {"US"}),
    ],
)
def test_an_adequacy_leaves_out_its_excepted_classes(classes: tuple[str, ...], uncovered: set[str]) -> None:
    """A key stands for all keys below it, so data that may hold the excepted class is left out too."""
    assert asked("eu", label("DE", classes=classes), vendor("US"), CERTIFIED).uncovered == uncovered


def test_support_from_elsewhere_is_a_transfer() -> None:
    found = asked("eu", label("DE"), vendor("DE", support=("US",)))
    assert (found.leaves, found.uncovered) == (True, {"US"})


@pytest.mark.parametrize("status", ["proposed", "suspended", "annulled", "withdrawn", "adopted_not_applicable"])
def test_what_is_not_in_force_covers_nothing(status: str) -> None:
    row = Adequacy("eu-gb", "eu", ("zone:EEA",), ("GB",), "a decision", replace(BASIS, status=status))
    assert asked("eu", label("DE"), vendor("GB"), row).uncovered == {"GB"}


def test_an_adequacy_ends_on_its_day() -> None:
    row = replace(GROUND[17], basis=replace(BASIS, valid_to=date(2026, 9, 1)))
    assert row.row == "adequacy/eu-gb"
    book = FactBook(GROUND).overlaid_with(FactBook((row, vendor("GB"))))
    for day, uncovered in ((date(2026, 8, 31), set()), (date(2026, 9, 1), {"GB"})):
        base = book.as_of(day, day)
        assert base.transfer("eu", label("DE"), base.targets[0]).uncovered == uncovered
        assert day in book.boundaries() or uncovered == set()


# Mechanisms

SCC = Mechanism("m", "scc", "eu", "Vendor", ("US",), BASIS)


def test_a_mechanism_is_a_safeguard_for_all_that_is_not_covered() -> None:
    found = asked("eu", label("DE"), vendor("US"), SCC)
    assert (found.uncovered, found.safeguards) == ({"US"}, ("eu/scc",))
    assert "mechanism/m" in found.rows
    assert asked("eu", label("DE"), vendor("US", "JP"), SCC).safeguards == ()
    assert asked("eu", label("DE"), vendor("US", "JP"), replace(SCC, importers=("US", "JP"))).safeguards == ("eu/scc",)
    assert asked("uk", label("GB"), vendor("US"), SCC).safeguards == ()
    assert asked("eu", label("DE"), vendor("US", processor="Helper"), SCC).safeguards == ()
    assert asked("eu", label("DE"), vendor("US", processor=""), SCC).safeguards == ()
    assert asked("eu", label("DE"), vendor("DE"), SCC).safeguards == ()


@pytest.mark.parametrize("place", ["anywhere", "unknown", "atlantis"])
def test_no_mechanism_covers_where_nobody_knows(place: str) -> None:
    wide = replace(SCC, importers=("anywhere", "unknown", *CODES))
    assert asked("eu", label("DE"), vendor("US", place), wide).safeguards == ()


@pytest.mark.parametrize(
    ("assessment", "on", "assessed"),
    [
        ("", None, False),
        ("TIA 7", None, False),
        ("", DAY, False),
        ("TIA 7", DAY, True),
        ("TIA 7", date(2026, 6, 2), False),
    ],
)
def test_an_assessment_counts_from_its_day(assessment: str, on: date | None, assessed: bool) -> None:
    row = replace(SCC, assessment=assessment, assessed_on=on)
    found = asked("eu", label("DE"), vendor("US"), row).safeguards
    assert ("eu/assessed" in found) == assessed
    assert "eu/scc" in found


# Regimes


@pytest.mark.parametrize(
    ("classes", "origins", "found"),
    [
        (("user.contact.email",), ("DE",), ("eu",)),
        (("user",), ("GB", "IS"), ("eu", "uk")),
        (("code",), ("DE",), ()),
        ((), ("DE",), ()),
        (("user",), ("US",), ()),
        (("user",), ("unknown",), ("eu", "quebec", "uk")),
        (("user",), ("US", "unknown"), ("eu", "quebec", "uk")),
        (("user",), (), ("eu", "quebec", "uk")),
        (("user",), ("XX",), ("eu", "quebec", "uk")),
        (("user",), ("CA",), ("quebec",)),
        (("user",), ("CA-QC",), ("quebec",)),
        (("user",), ("CA-ON",), ()),
        (("users",), ("DE",), ()),
    ],
)
def test_which_regimes_follow(classes: tuple[str, ...], origins: tuple[str, ...], found: tuple[str, ...]) -> None:
    assert base_of().regimes_of(classes, origins) == found


def test_a_class_that_may_hold_a_governed_one_is_governed() -> None:
    health = Regime("health", "Health law", ("user.health",), ("anywhere",), ("US",), BASIS)
    base = base_of(health)
    assert base.regimes_of(("user",), ("US",)) == ("health",)
    assert base.regimes_of(("user.health.condition",), ("DE",)) == ("eu", "health")
    assert base.regimes_of(("user.contact",), ("US",)) == ()


def test_a_regime_whose_territory_is_not_known_in_full_follows_everything_and_lets_nothing_out() -> None:
    torn = Regime("torn", "Torn", ("user",), ("zone:EEA", "zone:NOWHERE"), ("zone:EEA",), BASIS)
    toward = Adequacy("t", "torn", ("anywhere",), ("US",), "an instrument", BASIS)
    base = base_of(torn, toward, vendor("US"))
    assert "torn" in base.regimes_of(("user",), ("US",))
    assert base.transfer("torn", label("DE"), base.targets[0]).uncovered == {"US"}


def test_a_regime_that_is_missing_follows_everything_and_is_never_satisfied() -> None:
    base = FactBook((*GROUND, vendor("DE"))).without("regime/eu").as_of(DAY, DAY)
    assert base.regime("eu") is None
    assert base.regimes_of(("user",), ("US",)) == ("eu",)
    assert base.regimes_of((), ("US",)) == ()
    assert base.transfer("eu", label("DE"), base.targets[0]).uncovered == {"DE"}
    assert base_of().regime("eu") is not None


# Whatever is taken away, nothing opens

PART = st.sampled_from((*CODES, "CA-QC", "CA-ON"))
LISTED = st.lists(st.one_of(PART, st.sampled_from(["zone:A", "zone:B", "zone:C"])), min_size=1, max_size=3).map(tuple)
PLACED = st.lists(
    st.sampled_from([*CODES, "CA-QC", "CA-ON", "zone:A", "zone:B", "p", "q", "anywhere", "unknown"]), min_size=1,
    max_size=3,
).map(tuple)  # fmt: skip
COMPANY = st.sampled_from(["Vendor", "Helper", "Parent"])
CLASS = st.sampled_from(["user", "user.health", "user.health.x", "code"])


@st.composite
def books(draw: st.DrawFn) -> FactBook:
    rows: list[Row] = [each for each in GROUND if isinstance(each, Jurisdiction)]
    for name, members in (("A", PART), ("B", PART), ("C", st.sampled_from(["zone:A", "zone:B", "IS"]))):
        for part in draw(st.sampled_from([("",), ("one", "two")])):
            rows.append(Zone(name, tuple(draw(st.lists(members, min_size=1, max_size=3))), BASIS, part))
    for name in ("p", "q"):
        rows.append(Place(name, tuple(draw(st.lists(PART, min_size=1, max_size=2))), BASIS))
    for name, parents in (("Vendor", ("Parent",)), ("Helper", ()), ("Parent", ())):
        sector = draw(st.sampled_from(["commercial", "public"]))
        rows.append(Processor(name, name, "US", BASIS, parents, operates_in=draw(PLACED), sector=sector))
    for name in ("r", "s"):
        rows.append(Regime(name, name, (draw(CLASS),), draw(LISTED), draw(LISTED), BASIS))
    for number in range(draw(st.integers(1, 4))):
        rows.append(
            Adequacy(
                f"a{number}", draw(st.sampled_from("rs")), draw(LISTED), draw(LISTED), "x", BASIS,
                draw(st.sampled_from([(), ("commercial",)])), draw(st.sampled_from([(), ("dpf",)])),
                draw(st.sampled_from([(), ("user.health",)])),
            )
        )  # fmt: skip
    for name in draw(st.sets(COMPANY)):
        rows.append(Certification(name, "dpf", BASIS))
    for name in draw(st.sets(st.sampled_from("mn"))):
        rows.append(Mechanism(name, "scc", draw(st.sampled_from("rs")), "Vendor", draw(LISTED), BASIS, "", "TIA", DAY))
    subs = draw(st.sampled_from([(), ("Helper",)]))
    level = draw(st.sampled_from(["closed", "internal"]))
    company = draw(st.sampled_from(["Vendor", ""]))
    rows.append(vendor(*draw(PLACED), support=draw(PLACED), sub_processors=subs, processor=company, max_level=level))
    if draw(st.booleans()):
        rows.append(Opening("endpoint", "model", "public", BASIS))
    return FactBook(tuple(rows))


@settings(max_examples=150, deadline=None)
@given(
    books(), st.lists(st.one_of(PART, st.just("unknown")), max_size=2), st.lists(CLASS, max_size=2), st.data()
)  # fmt: skip
def test_taking_a_row_away_never_widens_anything(
    book: FactBook, origins: list[str], classes: list[str], data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(book.names()))
    before, after = book.as_of(DAY, DAY), book.without(name).as_of(DAY, DAY)
    label = Label.of("internal", classes=classes, origins=origins)
    assert set(before.regimes_of(label.classes, label.origins)) <= set(after.regimes_of(label.classes, label.origins))
    for zone in ("A", "B", "C"):
        then, now = before.zone(zone), after.zone(zone)
        assert now is None or (then is not None and now <= then)
    old, new = before.target("endpoint", "model"), after.target("endpoint", "model")
    assert old is not None
    if new is None:
        assert name == old.row
        return
    levels = ("closed", "public", "internal")
    assert levels.index(new.max_level) <= levels.index(old.max_level)
    for then, now in (
        (before.reach(old).everywhere, after.reach(new).everywhere),
        (before.reach(old).residency, after.reach(new).residency),
        (before.control(old), after.control(new)),
    ):
        assert then <= now or "unknown" in now
    for regime in ("r", "s"):
        was, becomes = before.transfer(regime, label, old), after.transfer(regime, label, new)
        assert becomes.leaves or not was.leaves
        assert was.uncovered <= becomes.uncovered or "unknown" in becomes.uncovered
        if was.uncovered:
            assert set(becomes.safeguards) <= set(was.safeguards)


@settings(max_examples=60, deadline=None)
@given(books(), st.lists(PART, max_size=2), PART)
def test_a_further_origin_or_class_never_widens_anything(book: FactBook, origins: list[str], further: str) -> None:
    base = book.as_of(DAY, DAY)
    (target,) = base.targets
    few, more = label(*origins, classes=("user.x",)), label(*origins, further, classes=("user.health", "user.x"))
    assert set(base.regimes_of(few.classes, few.origins or (further,))) <= set(
        base.regimes_of(more.classes, more.origins)
    )
    for regime in ("r", "s"):
        governed = [code for code in origins if regime in base.regimes_of(("user", "code"), (code,))]
        if governed:
            assert base.transfer(regime, few, target).uncovered <= base.transfer(regime, more, target).uncovered


@settings(max_examples=60, deadline=None)
@given(books(), st.lists(PART, max_size=2))
def test_an_answer_is_the_same_when_it_is_asked_again(book: FactBook, origins: list[str]) -> None:
    base, fresh = book.as_of(DAY, DAY), book.as_of(DAY, DAY)
    (target,) = base.targets
    first = base.transfer("r", label(*origins), target)
    assert base.transfer("r", label(*origins), target) is first
    assert fresh.transfer("r", label(*origins), fresh.targets[0]) == first
    assert base.transfer("r", label(*origins), replace(target)) == first


def test_a_transfer_takes_microseconds() -> None:
    base = base_of(vendor("US"), CERTIFIED)
    (target,) = base.targets
    data = label("DE", "GB", classes=("user.contact.email", "finance.transaction", "code"))
    base.transfer("eu", data, target)
    began = time.perf_counter()
    for _ in range(10_000):
        base.transfer("eu", data, target)
    assert (time.perf_counter() - began) / 10_000 < 100e-6, "about 3 µs, with room for a busy machine"
