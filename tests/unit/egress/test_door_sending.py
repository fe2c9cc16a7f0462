"""Sending: a denial that names obligations is discharged, recorded, re-scanned and asked again, at most twice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import BackendError, IntegrityError, PolicyRefused
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import MAX_DISCHARGES, Discharge, Door
from greylag.egress.hop import Hop
from greylag.governance.decision import decision_from
from greylag.governance.question import Asset, Discharged, Question, Target, Verdict

PLAIN = Label.of("confidential", classes=("user.contact.email",), origins=("DE",), derived_by=("scanner:email",))
LOWER = Label.of("internal", classes=("user.unique_id.pseudonymous",), origins=("DE",))
HOP = Hop(
    Stage.PROMPT, "agent:run_1", "send", Asset("prompt", PLAIN, "eu"), Target("endpoint", "far"), "run_1/1", "task_1",
    "murmur",
)  # fmt: skip
CONTENT = b"write to ada@example.org"
MASKED = b"write to psn-email-000000000000"
YES = Verdict(True, ("permit-prompt",), ("it may",), (), (), "v1")
NO = Verdict(False, ("forbid-far",), ("it leaves",), ("use another endpoint.",), (), "v1")


def until(*obligations: str) -> Verdict:
    return replace(NO, rules=("forbid-plain",), obligations=obligations)


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 7, 1, tzinfo=UTC)

    def entropy(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)


@dataclass
class Script:
    """One list of everything that happened, in its order: questions, discharges, ledger entries."""

    verdicts: list[Verdict]
    results: list[Discharge | None] = field(default_factory=list)
    happened: list[tuple[str, Any]] = field(default_factory=list)
    fails_on: str = ""

    def decide(self, question: Question) -> Verdict:
        number = len(self.of("question"))
        self.happened.append(("question", question))
        return self.verdicts[min(number, len(self.verdicts) - 1)]

    def discharge(self, hop: Hop, content: bytes, obligations: tuple[str, ...]) -> Discharge | None:
        number = len(self.of("discharge"))
        self.happened.append(("discharge", (hop, content, obligations)))
        return self.results[min(number, len(self.results) - 1)]

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        if entry["kind"] == self.fails_on:
            raise BackendError("GL-LEDGER-001", "the disk is full.", "make room.")
        self.happened.append((str(entry["kind"]), {**entry, "key": key}))
        return len(self.happened)

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.happened if name == kind]

    @property
    def order(self) -> list[str]:
        return [name for name, _ in self.happened]

    def door(self, region: str = "eu") -> Door:
        return Door(self, self, FixedClock(), region, self)


def masked(*names: str, records: int = 1) -> Discharge:
    made = tuple({"kind": "declassification", "declassification_id": f"dcl_{number}"} for number in range(records))
    return Discharge(MASKED, LOWER, Discharged(applied=names or ("pseudonymise",)), made)


def test_what_is_permitted_at_once_goes_as_it_is() -> None:
    script = Script([YES])
    passed = script.door().send(HOP, CONTENT)
    assert (passed.content, passed.label, passed.applied) == (CONTENT, PLAIN, ())
    passed.permit.require(Stage.PROMPT, "far", digest(CONTENT))
    (question,) = script.of("question")
    assert (question.asset.digest, question.asset.size_bytes) == (digest(CONTENT), len(CONTENT))
    assert script.order == ["question", "decision"]


def test_the_digest_and_size_are_of_the_content_whatever_the_hop_says() -> None:
    script = Script([YES])
    lying = replace(HOP, asset=replace(HOP.asset, digest=digest(b"something else"), size_bytes=1))
    passed = script.door().send(lying, CONTENT)
    with pytest.raises(IntegrityError):
        passed.permit.require(Stage.PROMPT, "far", digest(b"something else"))
    (entry,) = script.of("decision")
    assert (entry["asset"]["digest"], entry["asset"]["size_bytes"]) == (digest(CONTENT), len(CONTENT))


def test_a_denial_is_discharged_recorded_and_asked_again_in_this_order() -> None:
    script = Script([until("pseudonymise"), YES], [masked()])
    passed = script.door().send(HOP, CONTENT)
    assert (passed.content, passed.label, passed.applied) == (MASKED, LOWER, ("pseudonymise",))
    assert script.order == ["question", "decision", "discharge", "declassification", "question", "decision"]
    first, second = script.of("decision")
    (record,) = script.of("declassification")
    assert (first["permitted"], second["permitted"]) == (False, True)
    assert first["decision_id"] != second["decision_id"] == passed.permit.decision_id
    assert (first["round"], second["round"]) == (1, 2)
    assert (first["supersedes"], second["supersedes"]) == ("", first["decision_id"])
    assert record["decision_id"] == first["decision_id"]
    passed.permit.require(Stage.PROMPT, "far", digest(MASKED))
    assert second["asset"]["digest"] == digest(MASKED)
    assert second["discharged"]["applied"] == ["pseudonymise"]


def test_the_second_question_is_about_what_was_made_and_says_what_was_done() -> None:
    script = Script([until("pseudonymise"), YES], [replace(masked(), done=Discharged(("pseudonymise",), ("dpo",), 3))])
    script.door().send(HOP, CONTENT)
    first, second = script.of("question")
    assert (first.asset.label, first.discharged) == (PLAIN, Discharged())
    assert second.asset.label == LOWER
    assert second.discharged == Discharged(("pseudonymise",), ("dpo",), 3)
    assert (second.stage, second.principal, second.target, second.at) == (
        first.stage, first.principal, first.target, first.at,
    )  # fmt: skip


def test_obligations_are_discharged_twice_at_most() -> None:
    script = Script([until("pseudonymise"), until("redact"), until("link-instead-of-content")], [masked(records=0)])
    with pytest.raises(PolicyRefused) as refused:
        script.door().send(HOP, CONTENT)
    assert len(script.of("discharge")) == MAX_DISCHARGES == 2
    decisions = script.of("decision")
    assert [entry["round"] for entry in decisions] == [1, 2, 3]
    assert [entry["permitted"] for entry in decisions] == [False, False, False]
    assert refused.value.decision_id == decisions[-1]["decision_id"]
    assert len({entry["decision_id"] for entry in decisions}) == 3
    assert [entry["supersedes"] for entry in decisions] == ["", *(entry["decision_id"] for entry in decisions[:2])]


def test_what_was_done_in_both_rounds_counts_in_the_third() -> None:
    script = Script([until("approve:dpo"), until("redact"), YES], [
        Discharge(CONTENT, PLAIN, Discharged((), ("dpo",), 2)), Discharge(MASKED, LOWER, Discharged(("redact",))),
    ])  # fmt: skip
    passed = script.door().send(HOP, CONTENT)
    assert script.of("question")[2].discharged == Discharged(("redact",), ("dpo",), 0)
    assert passed.applied == ("redact",)
    (_, (hop, content, obligations)) = [each for each in script.happened if each[0] == "discharge"][1]
    assert (content, obligations, hop.discharged.approvals) == (CONTENT, ("redact",), ("dpo",))


@pytest.mark.parametrize("results", [[None], [masked("redact", records=0), None]])
def test_what_cannot_be_discharged_is_refused_with_the_last_answer(results: list[Discharge | None]) -> None:
    verdicts = [until("redact"), replace(until("approve:dpo"), reasons=("the last word",))][: len(results)]
    script = Script(verdicts, results)
    with pytest.raises(PolicyRefused) as refused:
        script.door().send(HOP, CONTENT)
    assert refused.value.decision_id == script.of("decision")[-1]["decision_id"]
    assert ("the last word" in refused.value.message) is (len(results) == 2)
    assert len(script.of("decision")) == len(results)


def test_a_denial_without_obligations_is_final() -> None:
    script = Script([NO, YES], [masked()])
    with pytest.raises(PolicyRefused):
        script.door().send(HOP, CONTENT)
    assert script.order == ["question", "decision"]


def test_a_door_without_a_discharger_refuses() -> None:
    script = Script([until("redact"), YES], [masked()])
    with pytest.raises(PolicyRefused):
        Door(script, script, FixedClock(), "eu").send(HOP, CONTENT)
    assert script.order == ["question", "decision"]


def test_a_question_that_only_admits_is_never_discharged() -> None:
    script = Script([until("redact"), YES], [masked()])
    with pytest.raises(PolicyRefused):
        script.door().admit(HOP)
    assert script.order == ["question", "decision"]


def test_a_record_that_cannot_be_written_ends_it_before_the_second_question() -> None:
    script = Script([until("pseudonymise"), YES], [masked(records=2)], fails_on="declassification")
    with pytest.raises(BackendError):
        script.door().send(HOP, CONTENT)
    assert script.order == ["question", "decision", "discharge"]


def test_a_discharger_that_breaks_lets_nothing_leave() -> None:
    class Broken(Script):
        def discharge(self, hop: Hop, content: bytes, obligations: tuple[str, ...]) -> Discharge | None:
            raise RuntimeError("scanner")

    script = Broken([until("redact"), YES])
    with pytest.raises(RuntimeError):
        script.door().send(HOP, CONTENT)
    assert script.order == ["question", "decision"]


def test_a_permission_with_errors_in_the_second_round_is_a_refusal() -> None:
    script = Script([until("redact"), replace(YES, errors=("a rule broke",))], [masked()])
    with pytest.raises(PolicyRefused, match="a rule broke"):
        script.door().send(HOP, CONTENT)
    assert [entry["permitted"] for entry in script.of("decision")] == [False, False]


def test_sending_again_is_asking_again_under_the_same_ids() -> None:
    def once() -> list[Any]:
        script = Script([until("pseudonymise"), YES], [masked(records=2)])
        script.door().send(HOP, CONTENT)
        return [what for name, what in script.happened if name not in ("question", "discharge")]

    first, second = once(), once()
    assert first == second, "the same keys with the same entries: a ledger keeps them once"
    assert len({entry["key"] for entry in first}) == len(first) == 4


def test_each_region_task_stage_and_key_has_decisions_of_its_own() -> None:
    def ids(hop: Hop, region: str = "eu") -> set[str]:
        script = Script([until("pseudonymise"), YES], [masked()])
        script.door(region).send(hop, CONTENT)
        return {entry["decision_id"] for entry in script.of("decision")}

    every = [
        ids(HOP), ids(HOP, "us"), ids(replace(HOP, task_id="task_2")), ids(replace(HOP, key="run_1/2")),
        ids(replace(HOP, stage=Stage.CHAT)),
    ]  # fmt: skip
    assert len(set.union(*every)) == 2 * len(every)


ANSWERS = [
    *(replace(YES, errors=errors) for errors in ((), ("broken",))),
    *(replace(NO, obligations=obligations) for obligations in ((), ("redact",), ("approve:dpo", "redact"))),
]
RESULTS = [None, masked(), masked("redact", records=0), masked(records=3)]


@given(
    st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=5),
    st.lists(st.sampled_from(RESULTS), min_size=1, max_size=3),
)
def test_whatever_policy_and_discharger_say_only_the_last_permitted_bytes_pass(
    verdicts: list[Verdict], results: list[Discharge | None]
) -> None:
    script = Script(verdicts, results)
    passed = _sent(script.door().send)
    decisions = [decision_from(entry) for entry in script.of("decision")]
    assert [decision.round for decision in decisions] == list(range(1, len(decisions) + 1))
    assert len(decisions) <= MAX_DISCHARGES + 1
    assert not any(decision.verdict.permitted for decision in decisions[:-1])
    assert (passed is not None) is decisions[-1].verdict.permitted
    if passed is not None:
        passed.permit.require(Stage.PROMPT, "far", digest(passed.content))
        assert passed.permit.decision_id == decisions[-1].decision_id
        assert decisions[-1].verdict.errors == ()
        assert decisions[-1].question.asset.digest == digest(passed.content)
        assert decisions[-1].question.asset.label == passed.label


def _sent(send: Callable[[Hop, bytes], Any]) -> Any:
    try:
        return send(HOP, CONTENT)
    except PolicyRefused:
        return None
