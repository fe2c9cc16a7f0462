"""A drill is read or refused with its place and field; applied, it changes what it says and nothing else."""

import tomllib
from contextlib import suppress
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from whatif_world import LAW, RULES, TODAY, WORLD, ask, changed, decided, drill, pack, pair

from greylag.domain.errors import GreylagError, RequestRefused
from greylag.domain.labels import LEVELS, Label
from greylag.governance.facts import FactBook
from greylag.governance.whatif import apply, parse_drill, relabelled
from tests.support.source import ROOT

HEAD = {"schema_version": 1, "name": "a-test", "title": "A test", "status": "hypothetical"}
ANNULLED = {"kind": "fact", "rows": ["adequacy/framework"], "set": {"status": "annulled"}}
SHIPPED = sorted((ROOT / "policies" / "drills").glob("*.toml"))


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(RequestRefused) as caught:
        parse_drill(data)
    assert caught.value.code == "GL-WHATIF-002"
    return caught.value.message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "facts"}, "change 1, field `kind`"),
        ({"kind": "fact", "rows": ["adequacy/x"]}, "field `set` is missing"),
        ({"kind": "fact", "rows": ["adequacy/x"], "set": {}}, "field `set`"),
        ({"kind": "fact", "rows": [], "set": {"a": 1}}, "field `rows`"),
        ({"kind": "fact", "rows": ["framework"], "set": {"a": 1}}, "field `rows`"),
        ({"kind": "fact", "rows": ["*/framework"], "set": {"a": 1}}, "field `rows`"),
        ({"kind": "fact", "rows": ["a/b"], "set": {"a": 1}, "from": "soon"}, "field `from`"),
        ({"kind": "fact", "rows": ["a/b"], "set": {"a": 1}, "form": 1}, "field `form` is not known"),
        ({"kind": "region-lost"}, "exactly one of `place`"),
        ({"kind": "region-lost", "place": "a", "zone": "b"}, "exactly one of `place`"),
        ({"kind": "pack"}, "exactly one of `add`"),
        ({"kind": "pack", "add": "a", "policy": "permit"}, "goes with `replace` alone"),
        ({"kind": "pack", "replace": "a"}, "goes with `replace` alone"),
        ({"kind": "label", "add_classes": ["user"]}, "at least one of `repository`"),
        ({"kind": "label", "repository": "shop"}, "at least one of `add_classes`"),
        ({"kind": "label", "repository": "shop", "level": "secret"}, "field `level`"),
        ({"kind": "opening", "target": "a*", "max_level": "public"}, "field `target`"),
        ({"kind": "opening", "target": "a", "max_level": "all"}, "field `max_level`"),
        ({"kind": "endpoint", "target": "a", "set": {"pinned": True}, "target_kind": "moon"}, "field `target_kind`"),
        ("fact", "change 1"),
    ],
)
def test_what_is_no_drill_is_refused_with_its_place(change: Any, said: str) -> None:
    assert said in refused({**HEAD, "change": [change]})


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ({"schema_version": 2}, "`schema_version`"),
        ({"schema_version": True}, "`schema_version`"),
        ({"name": "Not a name"}, "`name`"),
        ({"status": "certain"}, "`status`"),
        ({"surprise": 1}, "`surprise`"),
        ({"change": []}, "`change`"),
        ({"change": [ANNULLED] * 65}, "`change`"),
    ],
)
def test_a_drill_needs_its_head(head: dict[str, Any], said: str) -> None:
    assert said in refused({**HEAD, "change": [ANNULLED], **head})


_KEYS = st.sampled_from(["kind", "rows", "set", "from", "target", "add", "place", "x"])
_PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.dates()


@given(st.recursive(_PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner)))
def test_whatever_stands_there_it_is_a_drill_or_refused(change: Any) -> None:
    """Never another kind of error: a drill file is as hostile as any other."""
    with suppress(RequestRefused):
        parse_drill({**HEAD, "change": [change]})


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_drills_are_read_and_named_as_their_file(file: Any) -> None:
    read = parse_drill(tomllib.loads(file.read_text(encoding="utf-8")))
    assert read.name == file.stem
    assert read.note


def test_every_version_of_a_row_is_changed_without_a_day() -> None:
    after = changed(ANNULLED)
    rows = [row for row in after.world.book.rows if row.row == "adequacy/framework"]
    assert [row.basis.status for row in rows] == ["annulled", "annulled"]
    assert after.touched == {"adequacy/framework"}
    others = [row for row in WORLD.book.rows if row.row != "adequacy/framework"]
    assert [row for row in after.world.book.rows if row.row != "adequacy/framework"] == others


@pytest.mark.parametrize(
    ("since", "day", "permitted"),
    [
        (date(2026, 5, 1), date(2026, 4, 30), True),
        (date(2026, 5, 1), date(2026, 5, 1), False),
        (date(2026, 2, 1), date(2026, 1, 31), True),
        (date(2026, 2, 1), date(2026, 2, 1), False),
        (date(2026, 2, 1), date(2026, 5, 1), False),
        (date(2026, 3, 1), date(2026, 2, 28), True),
        (date(2026, 3, 1), date(2026, 3, 1), False),
    ],
)
def test_from_a_day_on_means_from_that_day_on(since: date, day: date, permitted: bool) -> None:
    both = pair({**ANNULLED, "from": since})
    question = ask("acme-us", "user.behavior", day=day)
    assert both.before.decide(question).permitted
    assert both.asked_after(question).permitted is permitted


def test_a_parent_brings_its_control_and_nothing_else() -> None:
    both = pair({"kind": "parent", "processor": "Beau", "parent": "Overseas Inc.", "seat": "US"})
    assert both.before.decide(ask("beau", "code.proprietary")).permitted
    assert both.asked_after(ask("beau", "code.proprietary")).rules == ("t-control",)
    assert both.asked_after(ask("beau", "user.behavior")).permitted


def test_a_parent_may_be_a_company_that_is_there() -> None:
    both = pair({"kind": "parent", "processor": "Beau", "parent": "Acme"})
    assert not both.asked_after(ask("beau", "code.proprietary")).permitted


def test_a_lost_place_takes_what_works_there_alone() -> None:
    after = changed({"kind": "region-lost", "place": "acme:de"})
    assert after.lost == {"endpoint/acme-eu"}
    after = changed({"kind": "region-lost", "jurisdiction": "DE"})
    assert after.lost == {"endpoint/acme-eu", "store/vault", "pool/pool", "chat/thread"}
    assert after.weakened == {"endpoint/beau"}
    after = changed({"kind": "region-lost", "zone": "EEA"})
    assert {"endpoint/beau", "endpoint/acme-eu", "store/vault"} <= after.lost
    assert "endpoint/acme-us" not in after.lost


def test_a_lost_target_is_denied_under_its_own_rule() -> None:
    both = pair({"kind": "region-lost", "place": "acme:de"})
    verdict = both.asked_after(ask("acme-eu", "user.behavior"))
    assert (verdict.permitted, verdict.rules) == (False, ("region-lost",))
    assert both.asked_after(ask("nowhere", "user.behavior")).rules != ("region-lost",)


def test_rows_come_and_go() -> None:
    gone = pair({"kind": "remove", "rows": ["certification/Acme/*"]})
    assert gone.asked_after(ask("acme-us", "user.behavior")).rules == ("t-transfer",)
    row = {"name": "own", "kind": "scc", "regime": "gdpr", "processor": "Acme", "importers": ["US"]}
    added = changed({"kind": "add", "facts": {"mechanism": [row]}})
    assert added.touched == {"mechanism/own"}
    facts = added.world.book.as_of(date(2000, 1, 1), date(2000, 1, 1))
    assert [each.name for each in facts.mechanisms()] == ["own"], "what a drill adds was always known"


def test_an_opening_lets_in_and_shuts_out() -> None:
    opened = pair({"kind": "opening", "target": "shut", "max_level": "internal"})
    assert not opened.before.decide(ask("shut")).permitted
    assert opened.asked_after(ask("shut")).permitted
    closed = pair({"kind": "opening", "target": "beau", "max_level": "closed"})
    assert closed.asked_after(ask("beau")).rules == ("t-closed",)
    less = pair({"kind": "opening", "target": "vault", "target_kind": "store", "max_level": "public"})
    assert less.asked_after(ask("vault", kind="store", level="public")).permitted
    assert not less.asked_after(ask("vault", kind="store")).permitted


def test_packs_come_go_and_are_revised() -> None:
    rules = LAW.replace("t-transfer", "t-draft-1").replace('context.restricted.contains("gdpr")', "true")
    draft = pack("t-draft", rules, kind="law", status="proposed")
    assert pair({"kind": "pack", "add": "t-draft"}, library={"t-draft": draft}).asked_after(ask("beau")).rules == (
        "t-draft-1",
    )
    removed = pair({"kind": "pack", "remove": "t-law"})
    assert removed.asked_after(ask("acme-us", "user.behavior")).rules == ("regime-without-pack",)
    revised = RULES.replace('"code.proprietary"', '"code"')
    both = pair({"kind": "pack", "replace": "t-house", "policy": revised})
    assert both.asked_after(ask("acme-us", "code")).rules == ("t-control",)
    assert both.asked_after(ask("acme-us", "code")).policy_version != both.before.version


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"kind": "fact", "rows": ["adequacy/framwork"], "set": {"status": "annulled"}}, "003", "adequacy/framework"),
        ({"kind": "remove", "rows": ["adequacy/x*"]}, "003", "adequacy/x*"),
        ({"kind": "parent", "processor": "Bau", "parent": "Acme"}, "003", "Beau"),
        ({"kind": "parent", "processor": "Beau", "parent": "Nobody"}, "003", "Nobody"),
        ({"kind": "parent", "processor": "Beau", "parent": "Acme", "seat": "CN"}, "004", "leave the seat out"),
        ({"kind": "region-lost", "place": "acme:fr"}, "003", "acme:de"),
        ({"kind": "region-lost", "zone": "EAA"}, "003", "EEA"),
        ({"kind": "pack", "add": "t-draft"}, "003", "t-draft"),
        ({"kind": "pack", "add": "t-law"}, "004", "decides already"),
        ({"kind": "pack", "remove": "t-lav"}, "003", "t-law"),
        ({"kind": "pack", "replace": "t-law", "policy": "permit ("}, "004", "GL-POLICY-011"),
        ({"kind": "opening", "target": "beaux", "max_level": "public"}, "003", "endpoint/beau"),
        ({"kind": "fact", "rows": ["adequacy/framework"], "set": {"statuz": "annulled"}}, "004", "statuz"),
        ({"kind": "fact", "rows": ["adequacy/framework"], "set": {"status": "gone"}}, "004", "gone"),
        ({"kind": "fact", "rows": ["processor/Beau"], "set": {"name": "Belle"}}, "004", "keeps its name"),
        ({"kind": "add", "facts": {"zone": [{"name": "EEA", "members": ["DE"]}]}}, "004", "there already"),
        ({"kind": "add", "facts": {"moon": [{}]}}, "004", "moon"),
    ],
)
def test_what_leads_nowhere_is_said_with_what_is_near(change: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        changed(change)
    assert caught.value.code == f"GL-WHATIF-{code}"
    assert said in f"{caught.value.message} {caught.value.remedy}"


def test_in_an_older_world_what_is_not_there_yet_changes_nothing() -> None:
    made = drill({"kind": "fact", "rows": ["adequacy/later"], "set": {"status": "annulled"}}, ANNULLED)
    after = apply(WORLD, made, {}, today=TODAY, strict=False)
    assert after.touched == {"adequacy/framework"}


def test_places_are_set_in_one_word() -> None:
    after = changed({"kind": "endpoint", "target": "acme-eu", "set": {"places": ["FR"]}})
    (row,) = (row for row in after.world.book.rows if row.row == "endpoint/acme-eu")
    assert (row.processing, row.storage, row.support, row.control_plane) == (("FR",), ("FR",), ("FR",), ("FR",))


def test_labels_change_where_all_that_is_given_matches() -> None:
    change = {"kind": "label", "repository": "sh*", "class": "user", "asset": "prompt", "add_classes": ["user.name"]}
    relabel = relabelled(drill(change))
    assert "user.name" in relabel(decided(ask("beau", "user.behavior"))).asset.label.classes
    assert relabel(decided(ask("beau", "code"))) == ask("beau", "code")
    assert relabel(decided(ask("beau", "user.behavior"), repository="other")) == ask("beau", "user.behavior")


def test_a_path_rule_is_known_by_the_derivation_it_left() -> None:
    relabel = relabelled(drill({"kind": "label", "path": "data/**", "level": "restricted"}))
    question = ask("beau")
    assert relabel(decided(question)).asset.label.level == "internal"
    asset = replace(question.asset, label=question.asset.label.because("path:data/**"))
    assert relabel(decided(replace(question, asset=asset))).asset.label.level == "restricted"


@given(
    level=st.sampled_from(LEVELS), raised=st.sampled_from(LEVELS),
    classes=st.sets(st.sampled_from(["user.name", "code", "finance.transaction"])),
    more=st.sets(st.sampled_from(["user", "code", "secret"]), min_size=1),
)  # fmt: skip
def test_a_label_rule_only_ever_adds(level: str, raised: str, classes: set[str], more: set[str]) -> None:
    relabel = relabelled(drill({"kind": "label", "repository": "*", "add_classes": sorted(more), "level": raised}))
    question = ask("beau", *classes, level=level)
    before, after = question.asset.label, relabel(decided(question, policy=POLICY)).asset.label
    assert after.joined(Label(before.level)).rank >= before.rank
    assert set(before.classes) | more == set(after.classes)
    assert set(before.origins) <= set(after.origins)


POLICY = WORLD.policy(today=TODAY)


def test_a_world_that_can_decide_nothing_is_refused_by_its_policy() -> None:
    after = changed({"kind": "remove", "rows": ["place/home"]})
    with pytest.raises(GreylagError, match="home region"):
        after.world.policy(today=TODAY, drill=True)
    assert isinstance(after.world.book, FactBook)
