"""The transcript is bounded, whole JSON lines, and without secrets."""

import json

from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.agents.transcript import Transcript

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.lists(JSON, max_size=60), st.integers(500, 5000))
def test_bounded_json_lines_whatever_is_added(values: list[object], limit: int) -> None:
    transcript = Transcript(limit_bytes=limit)
    for value in values:
        transcript.add("received", value)
    content = transcript.to_bytes()
    entries = [json.loads(line) for line in content.splitlines()]
    assert len(content) <= limit + 100
    dropped = sum(entry.get("dropped", 0) for entry in entries)
    assert dropped + sum("n" in entry for entry in entries) == len(values)
    numbers = [entry["n"] for entry in entries if "n" in entry]
    assert numbers == sorted(numbers)


def test_first_and_last_entries_stay() -> None:
    transcript = Transcript(limit_bytes=2000)
    for number in range(500):
        transcript.add("stdout", f"line {number}")
    content = transcript.to_bytes().decode()
    assert '"line 0"' in content
    assert '"line 499"' in content
    assert '"dropped"' in content


def test_a_huge_entry_keeps_its_beginning() -> None:
    transcript = Transcript()
    transcript.add("stdout", "x" * 1_000_000)
    entry = json.loads(transcript.to_bytes())
    assert entry["cut_bytes"] > 1_000_000
    assert len(entry["start"]) == 4096


def test_secrets_are_masked_everywhere() -> None:
    transcript = Transcript(secrets=("tok_1",))
    transcript.add("received", {"tok_1": ["a tok_1 b", {"deep": "tok_1"}]})
    assert b"tok_1" not in transcript.to_bytes()
