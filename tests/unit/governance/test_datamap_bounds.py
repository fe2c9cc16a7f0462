"""A map of anything: of hostile, broken and very long ledgers, bounded and honest about what it leaves out."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.governance.datamap import Limits, Query, Shown, Trails, map_document, map_of, project, read_entry
from greylag.governance.datamap.records import MAX_ITEMS, MAX_TEXT, Decided
from greylag.governance.question import Target
from greylag.governance.subjects import MORE
from tests.support.synthetic_ledger import ENDPOINT, VAULT, SyntheticLedger, facts_for_tests

FACTS = facts_for_tests()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def ledger_of(tasks: int) -> SyntheticLedger:
    ledger = SyntheticLedger()
    for number in range(tasks):
        ledger.task(f"task_{number}")
    return ledger


@given(
    entries=st.lists(
        st.dictionaries(
            st.sampled_from(
                ["kind", "asset", "target", "decision_id", "stage", "permitted", "at", "outcome", "facts", "before",
                 "after", "discharged", "action", "task_id", "principal"]
            ),
            JSON | st.sampled_from(["decision", "outcome", "declassification", "retain", "dec_1", "task"]),
        ),
        max_size=8,
    )
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_no_entry_breaks_a_map(entries: list[dict[str, object]]) -> None:
    found = project(entries, FACTS)
    json.dumps(map_document(found))
    assert found.entries == len(entries)


@given(at=st.integers(0, 400), entry=JSON)
@settings(max_examples=60, deadline=None)
def test_one_odd_entry_among_good_ones_changes_nothing_but_the_count(at: int, entry: object) -> None:
    good = ledger_of(2).entries
    odd = {"kind": "something else", "what": entry}
    place = at % (len(good) + 1)
    found, plain = project([*good[:place], odd, *good[place:]], FACTS), project(good, FACTS)
    assert found.located == plain.located
    assert found.gaps.unread == 1


def test_texts_and_lists_of_an_entry_are_cut() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "k" * 10_000, VAULT, subjects=tuple(f"sub_{n}" for n in range(1000)))
    found = read_entry(ledger.entries[0])
    assert isinstance(found, Decided)
    assert (len(found.kind), len(found.subjects)) == (MAX_TEXT, MAX_ITEMS)


def test_an_entry_of_version_1_is_read_and_an_unknown_level_is_the_highest() -> None:
    entry: dict[str, object] = {
        "kind": "decision", "decision_id": "dec_1", "task_id": "task_1", "stage": "artifact", "region": "local",
        "principal": "platform:greylag", "action": "store", "permitted": True, "at": "2026-01-01T00:00:00Z",
        "asset": {"kind": "diff", "level": "internal", "origin": "local", "digest": "sha256:x", "size_bytes": 1},
        "target": {"kind": "store", "name": "vault:local"},
    }  # fmt: skip
    (copy,) = project([entry], FACTS).located
    assert (copy.label.level, copy.evidence) == ("internal", "declared")
    odd = {**entry, "asset": {"kind": "diff", "level": "harmless"}}
    assert project([odd], FACTS).located[0].label.level == "restricted"


@pytest.mark.parametrize("permitted", ["true", 1, None, [True]])
def test_only_true_permits(permitted: object) -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT)
    entry = {**ledger.entries[0], "permitted": permitted}
    assert project([entry], FACTS).located == ()


def test_what_does_not_fit_is_counted_and_its_hops_still_are() -> None:
    ledger = SyntheticLedger()
    for number in range(30):
        ledger.decide("artifact", "diff", VAULT, content=str(number), outcome="stored")
    found = project(ledger.entries, FACTS, limits=Limits(trails=10, steps=5))
    assert len(found.located) == 10
    assert (found.gaps.untracked, found.gaps.older_steps, len(found.steps)) == (20, 5, 5)
    assert sum(flow.permitted for flow in found.flows) == 30


def test_an_answer_is_bounded_and_says_how_much_more_there_is() -> None:
    found = project(ledger_of(20).entries, FACTS, shown=Shown(located=7, steps=9, flows=3))
    assert (len(found.located), len(found.steps), len(found.flows)) == (7, 9, 3)
    whole = project(ledger_of(20).entries, FACTS)
    assert found.gaps.more_located == len(whole.located) - 7
    assert found.gaps.more_steps == len(whole.steps) - 9
    assert found.coverage == whole.coverage
    assert found.steps == whole.steps[-9:]


def test_an_outcome_that_comes_too_late_is_counted() -> None:
    ledger = SyntheticLedger()
    first = ledger.decide("artifact", "diff", VAULT, content="0")
    for number in range(1, 6):
        ledger.decide("artifact", "diff", VAULT, content=str(number))
    ledger.add({"kind": "outcome", "decision_id": first, "stage": "artifact", "outcome": "stored", "facts": {}})
    assert project(ledger.entries, FACTS, limits=Limits(waiting=3)).gaps.unmatched == 1
    assert project(ledger.entries, FACTS).gaps.unmatched == 0


def test_an_asset_that_names_more_people_than_is_marked_may_name_anybody() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "report", VAULT, subjects=("sub_a", MORE))
    found = project(ledger.entries, FACTS, query=Query(people=frozenset({"sub_b"})))
    assert (found.located, found.gaps.crowded) == ((), 1)


def test_a_map_that_is_fed_further_is_the_map_of_everything() -> None:
    entries = ledger_of(6).entries
    trails = Trails()
    for start in range(0, len(entries), 17):
        trails.feed(entries[start : start + 17])
        map_of(trails, FACTS, Query())
    assert map_document(map_of(trails, FACTS, Query())) == map_document(project(entries, FACTS))


def test_narrowing_while_reading_gives_what_narrowing_afterwards_gives() -> None:
    ledger = ledger_of(4)
    ledger.task("task_9", "bank")
    trails = Trails()
    trails.feed(ledger.entries)
    for query in (Query(task_id="task_2"), Query(repository="bank")):
        early = map_document(project(ledger.entries, FACTS, query=query))
        late = map_document(map_of(trails, FACTS, query))
        assert {**early, "left_out": None} == {**late, "left_out": None}


def test_the_same_decision_twice_is_one_hop() -> None:
    ledger = SyntheticLedger()
    ledger.decide("artifact", "diff", VAULT)
    again = {**ledger.entries[0], "attempt": 2, "at": datetime(2026, 12, 1, tzinfo=UTC).isoformat()}
    found = project([*ledger.entries, again], FACTS)
    assert (found.located[0].times, len(found.steps)) == (1, 1)
    assert found.located[0].last_seen.startswith("2026-12-01")


def test_memory_grows_with_assets_and_not_with_entries() -> None:
    ledger = SyntheticLedger()
    for _ in range(2_000):
        ledger.decide("prompt", "prompt", ENDPOINT, content="the same")
    found = project(ledger.entries, FACTS)
    (copy,) = found.located
    assert (copy.times, len(copy.decisions)) == (2_000, 8)
    assert len(found.steps) + found.gaps.older_steps == 2_000
    assert len(found.steps) == 32


def test_names_are_data() -> None:
    ledger = SyntheticLedger()
    odd = "</text><script>\u202e\x00\ud800"
    ledger.decide("prompt", odd.replace("\ud800", ""), Target("endpoint", odd.replace("\ud800", "")), task=odd[:9])
    document = json.dumps(map_document(project(ledger.entries, FACTS)))
    assert "script" in document
