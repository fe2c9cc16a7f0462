"""Discharging: people's yes is looked up, promises are read in the facts, and what can't be met is not met in part."""

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.app.install.law.lawbook import read_scanner
from greylag.delivery.governing.discharging import Discharger, Pseudonyms
from greylag.domain.labels import Label
from greylag.domain.repository import PathRule, Repository
from greylag.domain.stages import Stage
from greylag.egress.door import Discharge
from greylag.egress.hop import Hop
from greylag.governance.facts import Basis, FactBase, FactBook, own_place, own_target
from greylag.governance.question import Asset, Discharged, Target
from greylag.governance.signoff import EVERY, SignOff, roles_covered

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BASIS = Basis("a test", date(2026, 1, 2), "in_force", "O")
FAR = Target("endpoint", "far")
HOP = Hop(
    Stage.PROMPT, "agent:run_1", "send", Asset("prompt", Label("internal"), "local"), FAR, "run_1/1", "task_1", "murmur"
)  # fmt: skip
MAIL = "marigold.quince@firstbank.example.com"
SCANNER = read_scanner()
ROLES = ("data-owner", "dpo", "security")
SIGNED = SignOff(
    "sgn_1", "dpo", "eve", "endpoint", "far", EVERY, EVERY, "why", NOW - timedelta(days=1), NOW + timedelta(days=1)
)  # fmt: skip


def facts(*, pinned: bool = True, retention_days: int | None = 30) -> FactBase:
    row = replace(own_target("endpoint", "far", "local", BASIS), pinned=pinned, retention_days=retention_days)
    return FactBook((own_place("local", BASIS), row)).as_of(NOW.date(), NOW.date())


def discharge(
    *obligations: str, signed: Sequence[SignOff] = (), content: bytes = b'{"a":1}', hop: Hop = HOP,
    known: FactBase | None = None, repository: Repository | None = None,
) -> Discharge | None:  # fmt: skip
    discharger = Discharger(
        SCANNER, lambda: known or facts(), Pseudonyms(b"k" * 32), sign_offs=lambda: signed,
        repository=lambda name: repository or Repository(name, "local"), link=lambda task: f"https://here/{task}",
        now=lambda: NOW,
    )  # fmt: skip
    return discharger.discharge(hop, content, obligations)


def test_a_standing_sign_off_is_an_approval_and_changes_nothing_else() -> None:
    made = discharge("approve:dpo", signed=[SIGNED])
    assert made == Discharge(b'{"a":1}', HOP.asset.label, Discharged((), ("dpo",), 0))


@pytest.mark.parametrize(
    "change",
    [
        {"role": "security"}, {"target": "further"}, {"target_kind": "chat"}, {"repository": "other"},
        {"stage": "chat"}, {"until": NOW}, {"until": NOW - timedelta(seconds=1)}, {"at": NOW + timedelta(seconds=1)},
    ],
)  # fmt: skip
def test_a_sign_off_for_something_else_or_another_time_is_none(change: dict[str, object]) -> None:
    assert discharge("approve:dpo", signed=[replace(SIGNED, **change)]) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("change", [{"repository": "murmur"}, {"stage": "prompt"}, {"at": NOW}])
def test_a_sign_off_for_just_this_counts(change: dict[str, object]) -> None:
    assert discharge("approve:dpo", signed=[replace(SIGNED, **change)]) is not None  # type: ignore[arg-type]


def test_without_any_sign_off_nobody_approved() -> None:
    assert discharge("approve:dpo") is None


def test_nobody_says_yes_for_two_offices() -> None:
    both = [SIGNED, replace(SIGNED, sign_off_id="sgn_2", role="data-owner")]
    other = replace(SIGNED, sign_off_id="sgn_3", role="data-owner", by="ivan")
    assert discharge("approve:dpo,data-owner", signed=both) is None
    assert discharge("approve:dpo", "approve:data-owner", signed=both) is None, "asked for by two rules, it is no other"
    made = discharge("approve:dpo", "approve:data-owner", signed=[*both, other])
    assert made is not None
    assert made.done.approvals == ("data-owner", "dpo")


def test_nor_in_a_further_round() -> None:
    both = [SIGNED, replace(SIGNED, sign_off_id="sgn_2", role="data-owner")]
    later = replace(HOP, discharged=Discharged((), ("dpo",)))
    assert discharge("approve:data-owner", signed=both, hop=later) is None
    assert discharge("approve:dpo", signed=both, hop=later) is not None


SIGN_OFFS = st.lists(
    st.tuples(st.sampled_from(ROLES), st.sampled_from(["ann", "bob", "cy"]), st.integers(-2, 2), st.integers(-2, 2)),
    max_size=6,
)


@given(SIGN_OFFS, st.lists(st.sampled_from(ROLES), min_size=1, max_size=3, unique=True))
def test_an_approval_is_one_person_for_each_role_and_nothing_less(
    given_: list[tuple[str, str, int, int]], wanted: list[str]
) -> None:
    signed = [
        replace(
            SIGNED, sign_off_id=f"sgn_{number}", role=role, by=by, at=NOW + timedelta(days=begin),
            until=NOW + timedelta(days=end),
        )
        for number, (role, by, begin, end) in enumerate(given_)
    ]  # fmt: skip
    standing = {(role, by) for role, by, begin, end in given_ if begin <= 0 < end}
    people = [[by for by in ("ann", "bob", "cy") if (role, by) in standing] for role in wanted]
    possible = any(len(set(chosen)) == len(wanted) for chosen in itertools.product(*people))
    made = discharge(f"approve:{','.join(wanted)}", signed=signed)
    assert (made is not None) is possible
    assert roles_covered(tuple(each for each in signed if each.at <= NOW < each.until), tuple(wanted)) is possible


@pytest.mark.parametrize(
    ("obligation", "known", "met"),
    [
        ("pin-geo", facts(pinned=True), True), ("pin-geo", facts(pinned=False), False),
        ("retain:30", facts(retention_days=30), True), ("retain:29", facts(retention_days=30), False),
        ("retain:0", facts(retention_days=0), True), ("retain:9999", facts(retention_days=None), False),
        ("pin-geo", FactBook().as_of(NOW.date(), NOW.date()), False),
        ("retain:30", FactBook().as_of(NOW.date(), NOW.date()), False),
    ],
)  # fmt: skip
def test_a_promise_is_kept_by_facts_alone(obligation: str, known: FactBase, met: bool) -> None:
    made = discharge(obligation, known=known, signed=[SIGNED])
    assert (made is not None) is met
    if made is not None:
        assert made.done.applied == (obligation,)
        assert made.content == b'{"a":1}'


def test_a_change_of_facts_counts_from_the_next_question_on() -> None:
    known = [facts(pinned=True)]
    discharger = Discharger(
        SCANNER, lambda: known[0], Pseudonyms(b"k" * 32), sign_offs=tuple, link=str, now=lambda: NOW,
        repository=lambda name: Repository(name, "local"),
    )  # fmt: skip
    assert discharger.discharge(HOP, b"{}", ("pin-geo",)) is not None
    known[0] = facts(pinned=False)
    assert discharger.discharge(HOP, b"{}", ("pin-geo",)) is None


def test_all_of_them_or_none() -> None:
    content = json.dumps({"to": MAIL}).encode()
    assert discharge("pseudonymise", "approve:dpo", content=content) is None
    made = discharge("pseudonymise", "approve:dpo", "pin-geo", content=content, signed=[SIGNED])
    assert made is not None
    assert made.done == Discharged(("pin-geo", "pseudonymise"), ("dpo",), 0)


def test_of_alternatives_the_first_that_can_be_met_is_taken() -> None:
    content = json.dumps({"to": MAIL}).encode()
    first = discharge("pseudonymise|redact", content=content)
    second = discharge("approve:dpo|redact", content=content)
    assert first is not None
    assert second is not None
    assert (first.done.applied, second.done.applied) == (("pseudonymise",), ("redact",))
    assert b"psn-email-" in first.content
    assert b"[redacted:" in second.content


def test_pseudonyms_are_learnt_for_their_task_alone() -> None:
    pseudonyms = Pseudonyms(b"k" * 32)
    discharger = Discharger(
        SCANNER, facts, pseudonyms, sign_offs=tuple, repository=lambda name: Repository(name, "local"), link=str,
        now=lambda: NOW,
    )  # fmt: skip
    made = discharger.discharge(HOP, json.dumps({"to": MAIL}).encode(), ("pseudonymise",))
    assert made is not None
    token = json.loads(made.content)["to"]
    for task, said in (("task_1", MAIL), ("task_2", token)):
        restorer = pseudonyms.restorer(task, in_json=False)
        assert restorer.feed(token) + restorer.close() == said


def test_the_lowering_is_recorded_and_only_as_deep_as_the_operators_word() -> None:
    label = Label.of(
        "confidential", classes=("user.contact.email",), origins=("DE",), derived_by=("repository", "scanner:email")
    )
    hop = replace(HOP, asset=Asset("prompt", label, "local"))
    content = json.dumps({"to": MAIL}).encode()
    made = discharge("pseudonymise", content=content, hop=hop)
    kept = discharge("pseudonymise", content=content, hop=hop, repository=Repository("murmur", "local", "confidential"))
    assert made is not None
    assert kept is not None
    assert made.label.rank < label.rank
    assert kept.label.level == "confidential"
    (record,) = made.records
    assert (record["kind"], record["task_id"], record["repository"]) == ("declassification", "task_1", "murmur")
    assert record["residual_findings"] == 0


def test_a_rule_about_a_path_that_named_the_asset_holds_after_it() -> None:
    rules = (PathRule("secret/*", "confidential", ("export.controlled",)),)
    label = Label.of(
        "confidential", classes=("user.contact.email", "export.controlled"), origins=("DE",),
        derived_by=("repository", "path:secret/*", "scanner:email"),
    )  # fmt: skip
    hop = replace(HOP, asset=Asset("prompt", label, "local"))
    made = discharge(
        "pseudonymise", content=json.dumps({"to": MAIL}).encode(), hop=hop,
        repository=Repository("murmur", "local", path_rules=rules),
    )  # fmt: skip
    assert made is not None
    assert (made.label.level, made.label.covers("export.controlled")) == ("confidential", True)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"not a table", b"", b"a,b\n1"])
def test_content_that_cannot_be_changed_safely_does_not_go(content: bytes) -> None:
    hop = replace(HOP, asset=replace(HOP.asset, kind="attachment"))
    assert discharge("aggregate", content=content, hop=hop) is None


def test_a_link_says_where_the_text_is_and_none_of_it() -> None:
    hop = replace(HOP, stage=Stage.CHAT, asset=Asset("card", Label("confidential"), "local"))
    made = discharge("link-instead-of-content", content=b"the numbers are 1 and 2", hop=hop)
    assert made is not None
    assert b"https://here/task_1" in made.content
    assert b"numbers" not in made.content
