"""A snapshot: which row speaks about a target, where it reaches, who controls it; what has no row is unknown."""

import time
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from greylag.governance.facts import (
    Basis,
    Certification,
    Control,
    FactBase,
    FactBook,
    Jurisdiction,
    Opening,
    Place,
    Processor,
    Row,
    TargetFact,
    Zone,
    own_place,
    own_target,
    weakest,
)

DAY = date(2026, 1, 2)
BASIS = Basis("a test", DAY, "in_force", "O")
PROPOSED = replace(BASIS, status="proposed")


def vendor(name: str = "model", **fields: Any) -> TargetFact:
    row = own_target("endpoint", name, "us-1", BASIS, max_level="closed")
    return replace(row, **{"processor": "Vendor", **fields})


GROUND: tuple[Row, ...] = (
    *(Jurisdiction(code, code, BASIS) for code in ("US", "DE", "FR", "CA", "CN", "JP")),
    Jurisdiction("CA-QC", "Québec", BASIS, "CA", own_regime=True),
    Jurisdiction("CA-ON", "Ontario", BASIS, "CA"),
    Jurisdiction("HK", "Hong Kong", BASIS, "CN"),
    Place("us-1", ("US",), BASIS),
    Place("eu-1", ("DE",), BASIS),
    Place("border", ("DE", "FR"), BASIS),
    own_place("here", BASIS, jurisdiction="DE"),
    Zone("EU", ("DE", "FR"), BASIS),
    Processor("Vendor", "Vendor, Inc.", "US", BASIS, ("Parent",), operates_in=("us-1",)),
    Processor("Parent", "Parent, Inc.", "JP", BASIS, (), (Control("CN", "a law"),)),
)


def snapshot(*rows: Row, ground: tuple[Row, ...] = GROUND) -> FactBase:
    return FactBook(ground).overlaid_with(FactBook(rows)).as_of(DAY, DAY)


def the(base: FactBase, kind: str = "endpoint", name: str = "model") -> TargetFact:
    found = base.target(kind, name)
    assert found is not None
    return found


# Targets


def test_the_longest_prefix_wins_and_the_whole_name_wins_over_it() -> None:
    levels = {"environment:*": "public", "environment:a/*": "internal", "environment:a/b": "restricted"}
    base = snapshot(*(own_target("environment", name, "here", BASIS, max_level=each) for name, each in levels.items()))
    found = {
        name: the(base, "environment", name).max_level
        for name in ("environment:x", "environment:a/c", "environment:a/b", "environment:a/bc")
    }
    assert list(found.values()) == ["public", "internal", "restricted", "internal"]
    assert base.target("environment", "environmental") is None
    assert base.target("store", "environment:a/b") is None
    assert base.target("environment", "environment:*") is None, "nobody's name ends in a star"


@pytest.mark.parametrize("status", ["proposed", "withdrawn", "annulled", "suspended", "adopted_not_applicable"])
def test_a_row_not_in_force_makes_its_target_unknown_even_under_a_wider_row(status: str) -> None:
    wide = own_target("environment", "environment:*", "here", BASIS)
    exact = own_target("environment", "environment:a/b", "here", replace(BASIS, status=status))
    base = snapshot(wide, exact, Place("there", ("DE",), replace(BASIS, status=status)))
    assert base.target("environment", "environment:a/b") is None
    assert the(base, "environment", "environment:a/c") == wide
    assert base.place("there") is None
    assert exact not in base.targets


def test_an_expired_row_makes_its_target_unknown_and_one_not_yet_valid_does_not() -> None:
    wide = own_target("environment", "environment:*", "here", BASIS)
    over = own_target("environment", "environment:old", "here", replace(BASIS, valid_to=DAY))
    coming = own_target("environment", "environment:new", "here", replace(BASIS, valid_from=date(2027, 1, 1)))
    base = snapshot(wide, over, coming)
    assert base.target("environment", "environment:old") is None
    assert the(base, "environment", "environment:new") == wide


def test_a_wide_row_that_was_annulled_or_taken_away_lets_no_wider_one_step_in() -> None:
    wide = own_target("environment", "environment:*", "here", BASIS)
    narrower = own_target("environment", "environment:a/*", "us-1", BASIS)
    exact = own_target("environment", "environment:b", "us-1", BASIS)
    annulled = replace(narrower, basis=replace(BASIS, status="annulled"))
    assert snapshot(wide, annulled).target("environment", "environment:a/x") is None
    book = FactBook((*GROUND, wide, narrower, exact))
    assert book.without("environment/environment:a/*").as_of(DAY, DAY).target("environment", "environment:a/x") is None
    assert book.without(exact.row).as_of(DAY, DAY).target("environment", "environment:b") is None


def test_a_star_in_a_host_row_made_by_hand_covers_nothing() -> None:
    by_hand = replace(vendor(), kind="host", name="pypi*")
    assert snapshot(by_hand).target("host", "pypi.evil.example") is None


def test_an_opening_raises_what_a_target_may_have_and_only_while_it_holds() -> None:
    row = vendor()
    assert the(snapshot(row)).max_level == "closed"
    for level in ("public", "restricted"):
        base = snapshot(row, Opening("endpoint", "model", level, BASIS))
        assert the(base).max_level == level
        assert base.targets == (the(base),)
        assert base.row(row.row) == row, "the book's row stays as it is"
    withdrawn = Opening("endpoint", "model", "restricted", replace(BASIS, status="withdrawn"))
    assert the(snapshot(row, withdrawn)).max_level == "closed"


def test_an_opening_never_lowers_so_that_losing_one_opens_nothing() -> None:
    own = own_target("store", "vault", "here", BASIS)
    base = snapshot(own, Opening("store", "vault", "public", BASIS))
    assert the(base, "store", "vault").max_level == "restricted"


# Reach


def test_reach_is_all_that_a_vendor_touches() -> None:
    helper = Processor("Helper", "Helper", "CA", BASIS, operates_in=("CA-QC", "zone:EU"))
    row = vendor(storage=("eu-1",), support=("JP",), control_plane=("border",), sub_processors=("Helper",))
    reach = snapshot(row, helper).reach(row)
    assert (reach.processing, reach.storage, reach.support) == ({"US"}, {"DE"}, {"JP"})
    assert (reach.control_plane, reach.sub_processors) == ({"DE", "FR"}, {"CA-QC", "DE", "FR"})
    assert reach.residency == {"US", "DE"}
    assert reach.everywhere == {"US", "DE", "JP", "FR", "CA-QC"}
    assert reach.names == {"us-1", "eu-1", "JP", "border", "CA-QC", "zone:EU"}
    assert reach.by_sub_processor == (("Helper", frozenset({"CA-QC", "DE", "FR"})),)


def test_a_zone_in_a_list_of_places_is_what_its_rows_name() -> None:
    rows = (Zone("Z", ("CA", "zone:EU"), BASIS), Zone("ZZ", ("zone:Z", "JP"), BASIS))
    assert snapshot(*rows).reach(vendor(support=("zone:ZZ",))).support == {"CA", "DE", "FR", "JP"}
    assert snapshot(*rows).zone("ZZ") == {"CA", "CA-ON", "DE", "FR", "JP"}


def test_what_is_not_pinned_reaches_anywhere() -> None:
    reach = snapshot().reach(vendor(pinned=False))
    assert reach.processing == {"US", "anywhere"}
    assert "anywhere" in reach.names


@pytest.mark.parametrize("field", ["processing", "storage", "support", "control_plane"])
@pytest.mark.parametrize(
    "items",
    [(), ("unknown",), ("atlantis",), ("zone:NOWHERE",), ("XX",), ("XX-1",), ("proposed",), ("zone:control",), ("?",)],
)
def test_what_has_no_row_is_unknown_wherever_it_stands(field: str, items: tuple[str, ...]) -> None:
    base = snapshot(Place("proposed", ("DE",), PROPOSED), Zone("control", ("operator",), BASIS))
    reach = base.reach(vendor(**{field: items}))
    assert "unknown" in getattr(reach, field)
    assert "unknown" in reach.everywhere
    assert "unknown" in reach.names or items == ()
    assert "operator" not in reach.everywhere


def test_a_sub_processor_without_a_row_or_place_is_unknown() -> None:
    silent = Processor("Silent", "Silent", "US", BASIS)
    for name in ("Nobody", "Silent"):
        reach = snapshot(silent).reach(vendor(sub_processors=(name,)))
        assert reach.sub_processors == {"unknown"}
        assert "unknown" in reach.names


def test_an_own_region_is_where_its_settings_say() -> None:
    row = own_target("store", "vault", "here", BASIS)
    reach = snapshot(row).reach(row)
    assert (reach.everywhere, reach.names) == ({"DE"}, {"here"})
    nowhere = snapshot(row, own_place("here", BASIS)).reach(row)
    assert nowhere.everywhere == {"unknown"}
    assert "here" in nowhere.names


# Control


def test_control_goes_up_through_the_parents() -> None:
    assert snapshot().control(vendor()) == {"US", "JP", "CN"}
    assert snapshot().control(own_target("store", "vault", "here", BASIS)) == {"operator"}


def test_control_nobody_knows_is_unknown() -> None:
    assert snapshot().control(vendor(processor="Nobody")) == {"unknown"}
    orphan = Processor("Vendor", "Vendor", "US", BASIS, ("Nobody",))
    assert snapshot(orphan).control(vendor()) == {"US", "unknown"}
    sold = Processor("Parent", "Parent, Inc.", "JP", PROPOSED)
    assert snapshot(sold).control(vendor()) == {"US", "unknown"}
    assert snapshot(Processor("Vendor", "V", "unknown", BASIS)).control(vendor()) == {"unknown"}
    assert snapshot(Processor("Vendor", "V", "XX", BASIS)).control(vendor()) == {"XX", "unknown"}


def test_companies_that_own_each_other_end() -> None:
    circle = Processor("Parent", "Parent", "JP", BASIS, ("Vendor",))
    assert snapshot(circle).control(vendor()) == {"US", "JP"}


# Zones


def test_a_zone_is_the_union_of_its_parts_on_that_day() -> None:
    rows = (
        Zone("Z", ("DE",), BASIS, "a"),
        Zone("Z", ("FR",), replace(BASIS, valid_from=date(2026, 6, 1)), "b"),
        Zone("Z", ("JP",), replace(BASIS, valid_to=date(2026, 6, 1)), "c"),
        Zone("Z", ("US",), PROPOSED, "d"),
        Zone("Z", ("zone:EU",), replace(BASIS, known_from=date(2026, 8, 1)), "e"),
    )
    book = FactBook((*GROUND, *rows))
    late = date(2026, 7, 1)
    assert book.as_of(DAY, DAY).zone("Z") == {"DE", "JP"}
    assert book.as_of(late, late).zone("Z") == {"DE", "FR"}
    assert book.as_of(late, DAY).zone("Z") == {"DE", "FR"}
    assert "Z" in book.as_of(DAY, DAY).zones()


def test_what_holds_for_a_country_holds_for_its_parts_but_not_where_law_differs() -> None:
    base = snapshot(Zone("Z", ("CA", "CN"), BASIS), Zone("Q", ("CA-QC",), BASIS))
    assert base.zone("Z") == {"CA", "CA-ON", "CN", "HK"}
    assert base.zone("Q") == {"CA-QC"}


def test_parts_of_parts_follow_too_up_to_one_whose_law_differs() -> None:
    rows = (
        Jurisdiction("CA-QC1", "a part", BASIS, "CA-QC"),
        Jurisdiction("CA-ON1", "a part", BASIS, "CA-ON"),
        Zone("Z", ("CA",), BASIS),
        Zone("Q", ("CA-QC",), BASIS),
    )
    assert snapshot(*rows).zone("Z") == {"CA", "CA-ON", "CA-ON1"}
    assert snapshot(*rows).zone("Q") == {"CA-QC", "CA-QC1"}


def test_a_zone_nobody_knows_is_none_and_one_out_of_force_is_empty() -> None:
    gone = replace(BASIS, status="annulled")
    base = snapshot(Zone("was", ("DE",), gone), Zone("coming", ("DE",), replace(BASIS, valid_from=date(2027, 1, 1))))
    assert base.zone("nowhere") is None
    assert base.zone("was") == base.zone("coming") == frozenset()
    unheard = snapshot(Zone("later", ("DE",), replace(BASIS, known_from=date(2027, 1, 1))))
    assert unheard.zone("later") is None


@pytest.mark.parametrize("members", [("DE", "zone:NOWHERE"), ("DE", "XX"), ("zone:Z",), ("zone:torn",)])
def test_a_zone_that_names_what_has_no_row_can_not_be_used(members: tuple[str, ...]) -> None:
    base = snapshot(Zone("Z", members, BASIS), Zone("torn", ("DE", "zone:NOWHERE"), BASIS))
    assert base.zone("Z") is None
    assert "Z" not in base.zones()
    assert base.zone("EU") == {"DE", "FR"}


def test_a_zone_that_lost_a_part_can_not_be_used() -> None:
    book = FactBook((*GROUND, Zone("Z", ("DE",), BASIS, "a"), Zone("Z", ("FR",), BASIS, "b")))
    assert book.as_of(DAY, DAY).zone("Z") == {"DE", "FR"}
    torn = book.without("zone/Z/b").as_of(DAY, DAY)
    assert torn.zone("Z") is None
    assert torn.reach(vendor(processing=("zone:Z",))).processing == {"DE", "unknown"}


def test_zones_nested_without_end_stop() -> None:
    rows = [Zone(f"Z{number:03}", (f"zone:Z{number + 1:03}",), BASIS) for number in range(300)]
    base = snapshot(*rows, Zone("Z300", ("DE",), BASIS))
    assert base.zone("Z000") is None
    assert base.zone("Z299") == {"DE"}


def test_parts_nested_without_end_stop() -> None:
    rows = [Jurisdiction(f"AA-{number:04}", "part", BASIS, f"AA-{number + 1:04}") for number in range(3000)]
    began = time.perf_counter()
    snapshot(*rows, Jurisdiction("AA", "circle", BASIS, "AA"), Zone("Z", ("AA",), BASIS)).zone("Z")
    assert time.perf_counter() - began < 5


# What it rests on


def test_certainty_is_that_of_the_weakest_row_behind_a_target() -> None:
    row = vendor(basis=replace(BASIS, certainty="A"))
    base = snapshot(row, Certification("Vendor", "dpf", replace(BASIS, certainty="B")), Zone("X", ("US",), BASIS))
    names = [each.row for each in base.rows_behind(row)]
    assert names == [
        "certification/Vendor/dpf", "endpoint/model", "place/us-1", "processor/Parent", "processor/Vendor",
    ]  # fmt: skip
    assert base.certainty(row) == "B"
    assert base.certifications("Vendor") == ("dpf",)
    unchecked = Processor("Parent", "Parent", "JP", replace(BASIS, certainty="K"))
    assert snapshot(row, unchecked).certainty(row) == "K"
    assert weakest((), DAY) == "unknown"


def test_a_stale_row_counts_as_unchecked_and_is_told() -> None:
    row = vendor()
    for review_by, stale, certainty in ((DAY, False, "O"), (date(2026, 1, 1), True, "K")):
        base = snapshot(row, Place("us-1", ("US",), replace(BASIS, review_by=review_by)))
        assert (base.stale(row), base.certainty(row)) == (stale, certainty)


def test_openings_are_among_what_a_target_rests_on() -> None:
    opening = Opening("endpoint", "model", "public", BASIS)
    base = snapshot(vendor(), opening)
    assert opening in base.rows_behind(the(base))


def test_a_target_made_by_hand_is_never_mistaken_for_the_one_in_the_book() -> None:
    row = vendor()
    base = snapshot(row)
    assert base.reach(the(base)).support == {"US"}
    assert base.reach(replace(row, support=("CN",))).support == {"CN"}
    assert base.control(the(base)) == {"US", "JP", "CN"}
    assert base.control(replace(row, processor="")) == {"operator"}


def test_a_lookup_takes_microseconds() -> None:
    base = snapshot(vendor())
    row = the(base)
    base.reach(row), base.control(row)
    began = time.perf_counter()
    for _ in range(10_000):
        base.reach(the(base))
        base.control(row)
    assert (time.perf_counter() - began) / 20_000 < 100e-6, "about 1 µs, with room for a busy machine"
