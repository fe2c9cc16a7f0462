"""No byte leaves without a decision, no decision without an entry; whatever is broken, the door stays shut."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import BackendError, IntegrityError, PolicyRefused
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Question, Target, Verdict

HOP = Hop(
    stage=Stage.PROMPT,
    principal="agent:run_1",
    action="send",
    asset=Asset("prompt", Label("internal"), "eu", "sha256:" + "a" * 64, 12, ("branch",)),
    target=Target("endpoint", "eu-model"),
    key="run_1/1",
    task_id="task_1",
)
YES = Verdict(True, ("allow-eu",), ("stays in the EU",), (), ("endpoint eu-model",), "v1")
NO = Verdict(False, ("forbid-us",), ("leaves the EU",), ("choose eu-model.",), (), "v1")


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 7, 1, tzinfo=UTC)

    def entropy(self, size_bytes: int) -> bytes:
        return bytes(size_bytes)


class FixedPolicy:
    def __init__(self, verdict: Verdict | Exception) -> None:
        self.verdict = verdict
        self.questions: list[Question] = []

    def decide(self, question: Question) -> Verdict:
        self.questions.append(question)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class ListLedger:
    def __init__(self, error: Exception | None = None) -> None:
        self.entries: list[tuple[str, Mapping[str, object]]] = []
        self.error = error

    def append(self, entry: Mapping[str, object], *, key: str) -> int:
        if self.error is not None:
            raise self.error
        self.entries.append((key, entry))
        return len(self.entries) - 1


def door(verdict: Verdict | Exception = YES, ledger: ListLedger | None = None) -> tuple[Door, ListLedger]:
    ledger = ledger or ListLedger()
    return Door(FixedPolicy(verdict), ledger, FixedClock(), "eu"), ledger


def test_a_permitted_hop_is_in_the_ledger_before_the_permit_is_out() -> None:
    opened, ledger = door()
    permit = opened.admit(HOP)
    permit.require(Stage.PROMPT, "eu-model", "sha256:" + "a" * 64)
    (key, entry) = ledger.entries[permit.entry_index]
    assert key == permit.decision_id == entry["decision_id"]
    assert entry["permitted"] is True
    assert entry["policy_version"] == "v1"
    assert entry["target"] == {"kind": "endpoint", "name": "eu-model"}


def test_a_refusal_is_in_the_ledger_too_and_says_what_to_do() -> None:
    opened, ledger = door(NO)
    with pytest.raises(PolicyRefused) as refused:
        opened.admit(HOP)
    assert refused.value.code == "GL-POLICY-001"
    assert refused.value.rules == ("forbid-us",)
    assert "leaves the EU" in refused.value.message
    assert refused.value.remedy == "choose eu-model."
    ((key, entry),) = ledger.entries
    assert key == refused.value.decision_id
    assert entry["permitted"] is False


@pytest.mark.parametrize("verdict", [YES, NO])
@pytest.mark.parametrize(
    "error", [BackendError("GL-LEDGER-001", "the disk is full.", "make room."), OSError("no space"), ValueError("?")]
)
def test_without_a_ledger_nothing_leaves(verdict: Verdict, error: Exception) -> None:
    opened, _ = door(verdict, ListLedger(error))
    with pytest.raises(type(error)):
        opened.admit(HOP)


def test_a_policy_that_breaks_lets_nothing_leave() -> None:
    opened, ledger = door(RuntimeError("policy"))
    with pytest.raises(RuntimeError):
        opened.admit(HOP)
    assert ledger.entries == []


def test_a_permission_with_errors_is_a_refusal() -> None:
    verdict = Verdict(True, ("allow-all",), (), (), (), "v1", errors=("a forbid could not be evaluated",))
    opened, ledger = door(verdict)
    with pytest.raises(PolicyRefused, match="could not be evaluated"):
        opened.admit(HOP)
    assert ledger.entries[0][1]["permitted"] is False


def test_no_match_is_a_refusal_with_a_remedy() -> None:
    opened, _ = door(Verdict(False, (), (), (), (), "v1"))
    with pytest.raises(PolicyRefused, match="no rule permits it") as refused:
        opened.admit(HOP)
    assert refused.value.remedy


@given(
    permitted=st.booleans(),
    errors=st.lists(st.text(max_size=20), max_size=2).map(tuple),
    rules=st.lists(st.text(max_size=20), max_size=2).map(tuple),
)
def test_a_permit_comes_out_exactly_for_permitted_without_errors(
    permitted: bool, errors: tuple[str, ...], rules: tuple[str, ...]
) -> None:
    opened, ledger = door(Verdict(permitted, rules, (), (), (), "v1", errors))
    if permitted and not errors:
        opened.admit(HOP).require(Stage.PROMPT)
    else:
        with pytest.raises(PolicyRefused):
            opened.admit(HOP)
    assert len(ledger.entries) == 1
    assert ledger.entries[0][1]["permitted"] is (permitted and not errors)


def test_asking_twice_is_asking_once_and_a_change_of_mind_is_another_decision() -> None:
    ledger = ListLedger()
    first = door(YES, ledger)[0].admit(HOP)
    second = door(YES, ledger)[0].admit(HOP)
    with pytest.raises(PolicyRefused) as refused:
        door(NO, ledger)[0].admit(HOP)
    assert first.decision_id == second.decision_id != refused.value.decision_id


def test_an_observation_names_its_decision_and_holds_no_content() -> None:
    opened, ledger = door()
    permit = opened.admit(HOP)
    opened.observe(permit, "sent", {"status": 200})
    key, entry = ledger.entries[-1]
    assert key == f"{permit.decision_id}/outcome"
    assert entry["outcome"] == "sent"
    assert entry["facts"] == {"status": 200}


def test_an_observation_that_cannot_be_written_is_not_swallowed() -> None:
    opened, ledger = door()
    permit = opened.admit(HOP)
    ledger.error = BackendError("GL-LEDGER-001", "the disk is full.", "make room.")
    with pytest.raises(BackendError):
        opened.observe(permit, "sent")


def test_policy_is_asked_about_the_hop_itself_at_the_clocks_time() -> None:
    policy = FixedPolicy(YES)
    Door(policy, ListLedger(), FixedClock(), "eu").admit(HOP)
    (question,) = policy.questions
    assert question == Question(HOP.stage, HOP.principal, HOP.action, HOP.asset, HOP.target, FixedClock().now())


def test_two_regions_decide_by_themselves() -> None:
    permits = [Door(FixedPolicy(YES), ListLedger(), FixedClock(), region).admit(HOP) for region in ("eu", "us")]
    assert permits[0].decision_id != permits[1].decision_id


def test_a_permit_of_the_door_is_not_good_for_other_bytes() -> None:
    with pytest.raises(IntegrityError):
        door()[0].admit(HOP).require(Stage.PROMPT, "eu-model", "sha256:" + "b" * 64)
