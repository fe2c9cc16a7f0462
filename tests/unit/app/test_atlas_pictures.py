"""The pictures: self-contained, bounded, readable without colours, and unmoved by hostile names."""

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.app.atlas import STYLE, lineage_svg, world_svg
from greylag.app.atlas.drawing import safe
from greylag.app.atlas.world import world
from greylag.governance.datamap import DataMap, project
from greylag.governance.question import Target
from tests.support.synthetic_ledger import ENDPOINT, VAULT, SyntheticLedger, facts_for_tests

FACTS = facts_for_tests()
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert(1)</script>&\x00\u202e\"'<svg onload=x>"
#: What could load, run or restyle anything.
ACTIVE = re.compile(
    r"<script|<image|<use|<a |<foreignObject|href|url\(|@import|\son\w+=|style=|javascript:", re.IGNORECASE
)


def map_of(ledger: SyntheticLedger) -> DataMap:
    return project(ledger.entries, FACTS)


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def whole() -> SyntheticLedger:
    ledger = SyntheticLedger()
    ledger.task()
    ledger.decide("prompt", "prompt", Target("endpoint", "european"), content="x")
    ledger.decide("prompt", "prompt", Target("endpoint", "everywhere"), content="x")
    ledger.decide("prompt", "prompt", Target("endpoint", "nobody"), content="x")
    ledger.decide("prompt", "prompt", ENDPOINT, content="y", permitted=False)
    return ledger


@pytest.mark.parametrize("draw", [world_svg, lineage_svg])
@pytest.mark.parametrize("ledger", [SyntheticLedger(), whole()], ids=["empty", "whole"])
def test_a_picture_is_whole_named_and_needs_nothing_else(draw, ledger: SyntheticLedger) -> None:  # type: ignore[no-untyped-def]
    picture = draw(map_of(ledger))
    root = ElementTree.fromstring(picture)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    assert not ACTIVE.search(picture.replace(f"<style>{STYLE}</style>", ""))
    assert not ACTIVE.search(STYLE)
    assert "prefers-color-scheme: dark" in picture
    assert "<style>" not in draw(map_of(ledger), alone=False)
    assert len(picture) < 200_000


def test_places_counts_and_evidence_are_said_in_words_and_shapes() -> None:
    picture = world_svg(map_of(whole()))
    said = texts(picture)
    found = {use.code: use for use in map_of(whole()).uses}
    assert f"DE {found['DE'].total}" in said
    assert any(line.startswith("◆ DE Germany: ") for line in said)
    assert {"anywhere: 1", "unknown: 1"} <= set(said)
    assert any("one or several of" in line for line in said)
    assert "FR, SE" in [line.strip() for line in said]
    root = ElementTree.fromstring(picture)
    looks = {element.get("class") for element in root.iter() if element.get("class")}
    assert {"observed", "unknown", "flow", "refused", "land used compels"} <= looks


def test_own_places_all_observed_are_a_disc_and_else_a_diamond() -> None:
    for outcome, look in (("stored", "observed"), ("", "declared")):
        ledger = SyntheticLedger()
        ledger.decide("artifact", "diff", VAULT, outcome=outcome)
        root = ElementTree.fromstring(world_svg(map_of(ledger)))
        marks = [element for element in root.iter() if element.get("class") in ("observed", "declared", "unknown")]
        assert [(mark.tag, mark.get("class")) for mark in marks] == [
            (f"{SVG}{'circle' if look == 'observed' else 'path'}", look)
        ]


def test_crossings_are_drawn_and_what_stays_at_home_is_not() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT)
    assert 'class="flow"' not in world_svg(map_of(ledger))
    ledger.decide("placement", "run", ENDPOINT)
    assert 'class="flow"' not in world_svg(map_of(ledger))
    ledger.decide("prompt", "prompt", ENDPOINT)
    assert world_svg(map_of(ledger)).count('class="flow"') == 1


@pytest.mark.parametrize("draw", [world_svg, lineage_svg])
def test_hostile_names_are_text(draw) -> None:  # type: ignore[no-untyped-def]
    ledger = SyntheticLedger()
    for stage in ("prompt", "artifact"):
        ledger.decide(stage, HOSTILE, Target(HOSTILE, HOSTILE), origin=HOSTILE, principal=f"person:{HOSTILE}")
    picture = draw(map_of(ledger))
    ElementTree.fromstring(picture)
    assert not ACTIVE.search(
        re.sub(r"<text[^>]*>[^<]*</text>|<desc>[^<]*</desc>|<style>.*?</style>", "", picture, flags=re.DOTALL)
    )
    assert "<script" not in picture
    assert "\u202e" not in picture


@given(name=st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_can_stand_in_a_picture(name: str) -> None:
    element = ElementTree.fromstring(f"<t>{safe(name)}</t>")
    assert len(re.sub(r"«U\+[0-9A-F]{4,6}»", "x", element.text or "")) <= 60
    assert not set(element.text or "") & set("\u202e\u200b\x00\n")


def test_a_graph_has_few_nodes_and_says_how_many_more() -> None:
    ledger = SyntheticLedger()
    for number in range(60):
        ledger.decide("artifact", f"kind-{number}", Target("store", f"store-{number}"), content=str(number))
    said = texts(lineage_svg(map_of(ledger)))
    assert "… 43 more kinds" in said
    assert "… 43 more targets" in said
    assert len(said) < 60


def test_the_world_has_an_outline_or_a_point_for_each_country() -> None:
    ground = world()
    assert len(ground.countries) > 230
    for code in (
        "DE",
        "GB",
        "US",
        "SG",
        "HK",
        "MT",
        "LI",
        "JE",
        "CH",
        "IE",
        "FR",
        "JP",
        "IN",
        "CN",
        "AE",
        "CA-QC",
        "AE-DIFC",
    ):
        at = ground.at(code)
        assert at is not None
        assert 0 <= at[0] <= ground.width
        assert 0 <= at[1] <= ground.height
    assert ground.at("XX") is None
    assert all(re.fullmatch(r"[MmLlZz0-9 -]*", country.path) for country in ground.countries.values())


def test_marks_of_many_places_do_not_write_over_each_other() -> None:
    said = [
        (float(element.get("x", "0")), float(element.get("y", "0")))
        for element in ElementTree.fromstring(world_svg(map_of(whole()))).iter(f"{SVG}text")
        if element.get("class") == "code"
    ]
    close = [
        (one, other) for one in said for other in said
        if one < other and abs(one[0] - other[0]) <= 96 and abs(one[1] - other[1]) <= 24
    ]  # fmt: skip
    assert close == []
