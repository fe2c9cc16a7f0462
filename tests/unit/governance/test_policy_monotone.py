"""What is missing never opens: an attribute, a zone, a row, the schema, or what nobody said of the data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import cedarpy
import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from greylag.domain.errors import OperatorError
from greylag.domain.labels import LEVELS, Label
from greylag.domain.stages import Stage
from greylag.governance.facts import FactBase, FactBook, Regime, Zone
from greylag.governance.policy import CedarPolicy, parse_pack, snapshot
from greylag.governance.policy.request import Asked, entities, resolve
from greylag.governance.policy.ruleset import combine
from greylag.governance.policy.snapshot import Snapshot
from greylag.governance.question import Asset, Discharged, Question, Target
from tests.support.policies import BASE, NAMES, SCHEMA, all_together, given, in_force, law, pack, policy, with_required

#: Attributes as the shared schema declares them.
CONTEXT = (
    "kind", "level", "classes", "origins", "regimes", "subjects", "origin", "size_bytes", "surfaces", "verb", "home",
    "home_control", "applied", "approvals", "residual_findings", "transfers", "restricted", "safeguards",
)  # fmt: skip
TARGET = (
    "known", "kind", "own", "places", "residency", "reach", "control", "provenance", "processor", "certifications",
    "pinned", "trains_by_default", "retention_known", "retention_days", "max_level", "certainty", "stale",
    "uncovered_surfaces",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Maimed:
    """A request that lacks something. `Snapshot.ask` takes it like any other."""

    asked: Asked
    part: str
    attribute: str = ""

    def request(self, home: str, home_control: tuple[str, ...]) -> dict[str, object]:
        """Return the request without the part, or without one attribute of it."""
        whole: dict[str, Any] = self.asked.request(home, home_control)
        if self.attribute:
            return whole | {self.part: {k: v for k, v in whole[self.part].items() if k != self.attribute}}
        return {k: v for k, v in whole.items() if k != self.part}


def made(name: str, home: str) -> Snapshot:
    """Return the snapshot that answers one pack's examples."""
    return Snapshot(combine(with_required(name), drill=True), facts_of(name), home)


@cache
def facts_of(name: str) -> FactBase:
    return given(name).book.as_of(given(name).at, given(name).at)


@cache
def asked_of(name: str) -> Sequence[Asked]:
    """Return one pack's example questions about its usual home, resolved."""
    found = [resolve(each.question, facts_of(name)) for each in given(name).examples if at_home(name, each)]
    return [each for each in found if isinstance(each, Asked)]


def at_home(name: str, example: Any) -> bool:
    return bool(example.home_region == given(name).home_region)


# One attribute less


@pytest.mark.parametrize("name", NAMES)
def test_a_request_that_lacks_an_attribute_gets_nothing(name: str) -> None:
    ready = made(name, given(name).home_region)
    lacking = [Maimed(asked, "context", attribute) for asked in asked_of(name) for attribute in CONTEXT]
    for answer in ready.ask(lacking):  # type: ignore[arg-type]
        assert not answer.allowed
        assert answer.errors


@pytest.mark.parametrize("part", ["principal", "action", "resource", "context"])
def test_a_request_that_lacks_a_part_is_an_error_and_so_a_no(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Asked.request
    asked = next(each for each in given(BASE).examples if each.expect == "allow")
    fresh = CedarPolicy(with_required(BASE), given(BASE).book, given(BASE).home_region, today=given(BASE).at)
    assert policy(BASE, asked.home_region).decide(asked.question).permitted
    monkeypatch.setattr(
        Asked, "request", lambda self, *given: {k: v for k, v in whole(self, *given).items() if k != part}
    )
    verdict = fresh.decide(asked.question)
    assert not verdict.permitted
    assert verdict.errors


def test_the_attributes_tried_are_those_of_the_schema() -> None:
    for attribute in (*CONTEXT, *TARGET):
        assert f" {attribute}: " in SCHEMA
    asked = asked_of(BASE)[0]
    context: Any = asked.request("here", ())["context"]
    assert sorted(context) == sorted(CONTEXT)
    assert sorted(target_entity(entities(facts_of(BASE)))["attrs"]) == sorted(TARGET)


def target_entity(found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next(each for each in found if each["uid"]["type"] == "Greylag::Target")


@pytest.mark.parametrize("attribute", [*TARGET, "members"])
def test_entities_that_lack_an_attribute_are_refused_at_load(attribute: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(facts: FactBase) -> list[dict[str, Any]]:
        return [
            {**each, "attrs": {k: v for k, v in dict(each["attrs"]).items() if k != attribute}}  # type: ignore[call-overload]
            for each in entities(facts)
        ]

    monkeypatch.setattr(snapshot, "entities", lacking)
    with pytest.raises(OperatorError, match="GL-POLICY-016"):
        made("uk-gdpr", given("uk-gdpr").home_region)


@pytest.mark.parametrize("name", NAMES)
def test_a_target_that_lost_its_entity_gets_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def zones_only(facts: FactBase) -> list[dict[str, object]]:
        return [each for each in entities(facts) if dict(each["uid"])["type"] == "Greylag::Zone"]  # type: ignore[call-overload]

    monkeypatch.setattr(snapshot, "entities", zones_only)
    for answer in made(name, given(name).home_region).ask(asked_of(name)):
        assert not answer.allowed


# One zone less


def without(book: FactBook, names: set[str]) -> FactBook:
    for name in names:
        book = book.without(name)
    return book


def zones_of(book: FactBook) -> dict[str, set[str]]:
    """Return the rows of each zone by the zone's name."""
    found: dict[str, set[str]] = {}
    for row in book.rows:
        if isinstance(row, Zone):
            found.setdefault(row.name, set()).add(row.row)
    return found


@pytest.mark.parametrize("zone", combine(in_force()).zones)
def test_packs_that_read_a_zone_are_refused_without_it(zone: str) -> None:
    book = law().overlaid_with(given(BASE).book)
    with pytest.raises(OperatorError, match="GL-POLICY-020") as refused:
        CedarPolicy(in_force(), without(book, zones_of(book)[zone]), given(BASE).home_region, today=given(BASE).at)
    assert repr(zone) in refused.value.message


@pytest.mark.parametrize("name", [name for name in NAMES if pack(name).status == "in_force"])
def test_a_zone_that_is_gone_turns_no_denial_into_a_permit(name: str) -> None:
    """Asked past the check at load, as if nobody had looked."""
    home, at = given(name).home_region, given(name).at
    book, rules = law().overlaid_with(given(name).book), combine(in_force())
    questions = [each.question for each in given(name).examples if at_home(name, each)]
    before = [all_together(name, home).decide(each).permitted for each in questions]
    for zone, rows in zones_of(book).items():
        facts = without(book, rows).as_of(at, at)
        found = [resolve(each, facts) for each in questions]
        answers = Snapshot(rules, facts, home).ask([each for each in found if isinstance(each, Asked)])
        for question, was, answer in zip(questions, before, answers, strict=True):
            assert was or not answer.allowed, (zone, question)


# One row less: a certificate, a mechanism, a parent, a place, a country, an adequacy …


@pytest.mark.parametrize("name", ["ca-quebec", "eu-gdpr", BASE, "in-dpdp", "sovereign-control", "uk-gdpr", "us-dsp"])
def test_a_row_that_is_gone_turns_no_denial_into_a_permit(name: str) -> None:
    home, book = given(name).home_region, given(name).book
    asked = [each.question for each in given(name).examples if at_home(name, each)]
    before = [policy(name, home).decide(each).permitted for each in asked]
    used = {row for each in asked for row in policy(name, home).decide(each).facts}
    rules = combine(with_required(name), drill=True)
    rows = [row for row in book.rows if row.row in used and not isinstance(row, Regime | Zone)]
    assert len(rows) > 8
    for row in rows:
        facts = book.without(row.row).as_of(given(name).at, given(name).at)
        if facts.place(home) is None:
            continue
        found = [resolve(each, facts) for each in asked]
        answers = Snapshot(rules, facts, home).ask([each for each in found if isinstance(each, Asked)])
        for question, was, answer in zip(asked, before, answers, strict=True):
            assert was or not answer.allowed, (row.row, question)


# No schema


@pytest.mark.parametrize("text", ["", "namespace Greylag {}", SCHEMA.replace("entity Zone", "entity Zones")])
def test_a_loader_that_lost_the_schema_reads_no_pack(text: str) -> None:
    manifest = {
        "schema_version": 2, "name": "a-pack", "title": "t", "version": "1", "status": "in_force", "kind": "house",
    }  # fmt: skip
    with pytest.raises(OperatorError, match=r"GL-POLICY-01[23]"):
        parse_pack(manifest, pack("eu-gdpr").policy_text, text)


@pytest.mark.parametrize("name", NAMES)
def test_even_where_cedar_is_given_no_schema_the_answers_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules name no action groups, which a handle parsed without the schema would silently not know."""
    home = given(name).home_region
    before = [answer.allowed for answer in made(name, home).ask(asked_of(name))]
    ready = made(name, home)
    ready._entities = cedarpy.Entities.from_json_str(json.dumps(entities(facts_of(name))))
    ready._schema = None
    batch = cedarpy.is_authorized_batch

    def schemaless(*given: Any, schema: object) -> Any:
        return batch(*given)

    monkeypatch.setattr(cedarpy, "is_authorized_batch", schemaless)
    assert [answer.allowed for answer in ready.ask(asked_of(name))] == before


# Less said of the data, more left to do

ALL = [(name, each) for name in NAMES if pack(name).status == "in_force" for each in given(name).examples]
TARGETS = sorted({(name, each.question.target) for name, each in ALL}, key=str)
CLASSES = (
    "code", "code.proprietary", "finance.transaction", "secret", "user", "user.authorization.password",
    "user.biometric.voice", "user.contact.email", "user.health_and_medical.genetic", "user.location.precise",
    "user.name", "user.payment", "user.workplace",
)  # fmt: skip
QUESTIONS = st.builds(
    lambda stage, who, level, classes, origins, subjects, where, applied, approvals: (
        where[0],
        Question(
            stage, who, "send",
            Asset("text", Label.of(level, classes=classes, origins=origins, subjects=subjects),
                  given(where[0]).home_region),
            where[1],
            datetime(given(where[0]).at.year, given(where[0]).at.month, given(where[0]).at.day, tzinfo=UTC),
            Discharged(tuple(sorted(applied)), tuple(sorted(approvals))),
        ),
    ),
    st.sampled_from(list(Stage)),
    st.sampled_from(["person:ada", "agent:claude", "platform:greylag"]),
    st.sampled_from(LEVELS),
    st.sets(st.sampled_from(CLASSES), max_size=3),
    st.sets(st.sampled_from(["DE", "GB", "US", "CN", "IN", "CH", "CA-QC", "unknown"]), min_size=1, max_size=2),
    st.sampled_from([0, 1, 101, 1001, 10_001, 100_001, 1_000_001]),
    st.sampled_from(TARGETS),
    st.sets(st.sampled_from(["pseudonymise", "redact", "aggregate", "encrypt", "pin-geo"])),
    st.sets(st.sampled_from(["dpo", "data-owner"])),
)  # fmt: skip


def permitted(name: str, question: Question) -> bool:
    return all_together(name, given(name).home_region).decide(question).permitted


@over(asked=QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_to_say_less_of_the_data_or_of_what_was_done_opens_nothing(asked: tuple[str, Question]) -> None:
    name, question = asked
    if permitted(name, question):
        return
    label, done = question.asset.label, question.discharged
    for less in (
        replace(question, discharged=Discharged()),
        replace(question, discharged=replace(done, applied=())),
        replace(question, discharged=replace(done, approvals=())),
        replace(question, discharged=replace(done, residual_findings=7)),
        with_label(question, replace(label, subjects=0)),
        with_label(question, replace(label, regimes=("eu-gdpr",))),
        with_label(question, replace(label, level=LEVELS[min(label.rank + 1, 3)])),
        with_label(question, label.joined(Label.of("public", classes=["user.name"], origins=["FR"]))),
        replace(question, target=Target(question.target.kind, "nobody-knows-this.example")),
    ):
        assert not permitted(name, less), less


def with_label(question: Question, label: Label) -> Question:
    return replace(question, asset=replace(question.asset, label=label))


@over(asked=QUESTIONS)
@settings(max_examples=150, deadline=None)
def test_where_nobody_says_where_data_is_from_it_goes_to_nobody_else_to_whom_it_did_not(
    asked: tuple[str, Question],
) -> None:
    """At home too, save where a rule keeps one country's data in that country: then saying so is what closes."""
    name, question = asked
    verdict = all_together(name, given(name).home_region).decide(question)
    silent = with_label(question, replace(question.asset.label, origins=()))
    if not verdict.permitted and permitted(name, silent):
        assert set(verdict.rules) <= {
            "uk-raw-transactions-stay", "uk-raw-transactions-unseen", "rbi-payment-data-stays",
        }  # fmt: skip
        row = facts_of(name).target(question.target.kind, question.target.name)
        assert row is not None
        assert not row.processor
