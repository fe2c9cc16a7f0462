"""A book of versions: which one counts on which day, and what stays the same however the book was put together."""

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import OperatorError
from greylag.governance.facts import (
    Adequacy,
    Basis,
    Certification,
    Control,
    FactBase,
    FactBook,
    Jurisdiction,
    Law,
    Mechanism,
    Opening,
    Place,
    Processor,
    Regime,
    Row,
    Zone,
    dump_facts,
    own_target,
    parse_facts,
    version_of,
)

START = date(2026, 1, 1)
DAYS = st.integers(0, 12).map(lambda days: START + timedelta(days=days))
STATUS = st.sampled_from(["in_force", "in_force", "challenged", "annulled", "proposed"])


@st.composite
def bases(draw: st.DrawFn) -> Basis:
    valid_from = draw(st.none() | DAYS)
    retrieved = draw(DAYS)
    longer = st.integers(1, 8).map(lambda days: (valid_from or START) + timedelta(days=days))
    return Basis(
        source="a test", retrieved=retrieved, status=draw(STATUS), certainty=draw(st.sampled_from("ABCKMO")),
        valid_from=valid_from, valid_to=draw(st.none() | longer), known_from=draw(st.none() | DAYS),
        review_by=draw(st.none() | st.just(retrieved + timedelta(days=3))), note=draw(st.text(max_size=5)),
    )  # fmt: skip


def rows_from(strategy: st.SearchStrategy[Row]) -> st.SearchStrategy[list[Row]]:
    return st.lists(strategy, max_size=12, unique_by=version_of)


PLACES = rows_from(st.builds(Place, st.sampled_from(["a", "b"]), st.sampled_from([("DE",), ("FR", "US")]), bases()))
NAMES = st.sampled_from(["one", "two/x:y", "three@1"])
WORDS = st.sampled_from(["dpf", "hds"])
COMPANIES = st.sampled_from(["A Co.", "B & C, Inc."])
CODES = st.lists(st.sampled_from(["US", "DE", "CA-QC", "zone:EEA"]), min_size=1, max_size=3).map(tuple)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
ANY_ROW: st.SearchStrategy[Row] = st.one_of(
    st.builds(Jurisdiction, st.just("CA-QC"), TEXTS, bases(), st.just("CA"), st.booleans()),
    st.builds(Zone, WORDS, CODES, bases(), st.sampled_from(["", "p"])),
    st.builds(Place, st.just("here"), st.just(("DE", "unknown")), bases()),
    st.builds(
        Processor, COMPANIES, TEXTS, st.sampled_from(["US", "unknown"]), bases(), parents=st.just(("D",)),
        controlled_by=st.lists(st.builds(Control, st.just("US"), TEXTS), max_size=2).map(tuple), operates_in=CODES,
        sector=st.sampled_from(["commercial", "public", "unknown"]),
    ),
    st.builds(Certification, COMPANIES, WORDS, bases()),
    st.builds(
        lambda name, basis, days, trains, subs: replace(
            own_target("endpoint", name, "here", basis), processor="A Co.", retention_days=days,
            trains_by_default=trains, sub_processors=subs, max_level="closed", hosts=("b.example", "a.example"),
        ),
        NAMES, bases(), st.none() | st.integers(0, 90), st.none() | st.booleans(), st.lists(COMPANIES).map(tuple),
    ),
    st.builds(Opening, st.just("endpoint"), NAMES, st.sampled_from(["public", "restricted"]), bases()),
    st.builds(Regime, NAMES, TEXTS, st.just(("user", "code")), CODES, CODES, bases()),
    st.builds(
        Adequacy, NAMES, NAMES, CODES, CODES, TEXTS, bases(), sectors=st.sampled_from([(), ("public",)]),
        certified=st.lists(WORDS).map(tuple), except_classes=st.sampled_from([(), ("user.health",)]),
    ),
    st.builds(
        Mechanism, NAMES, st.just("scc"), NAMES, COMPANIES, CODES, bases(), assessment=st.just("TIA 7"),
        assessed_on=DAYS,
    ),
    st.builds(Law, NAMES, st.sampled_from(["", "eu-gdpr"]), st.just("control"), TEXTS, TEXTS, bases()),
)  # fmt: skip


def naive(rows: list[Row], name: str, valid: date, known: date) -> Row | None:
    """Say which version counts by going through them one at a time."""
    best: Row | None = None
    for row in rows:
        basis = row.basis
        since = basis.known_from if basis.known_from is not None else basis.retrieved
        if row.row != name or since > known:
            continue
        if basis.valid_from is not None and valid < basis.valid_from:
            continue
        if basis.valid_to is not None and valid >= basis.valid_to:
            continue
        if best is not None:
            other = best.basis.known_from if best.basis.known_from is not None else best.basis.retrieved
            if (since, basis.valid_from or date.min) < (other, best.basis.valid_from or date.min):
                continue
        best = row
    return best if best is not None and best.basis.status in ("in_force", "challenged") else None


@given(PLACES, DAYS, DAYS)
def test_the_version_that_counts_is_the_one_known_last_that_speaks_of_the_day(
    rows: list[Row], valid: date, known: date
) -> None:
    base = FactBook(tuple(rows)).as_of(valid, known)
    for name in ("a", "b"):
        assert base.place(name) == base.row(f"place/{name}") == naive(rows, f"place/{name}", valid, known)


@given(PLACES)
def test_nothing_changes_between_two_boundaries(rows: list[Row]) -> None:
    book = FactBook(tuple(rows))
    boundaries = book.boundaries()
    assert list(boundaries) == sorted(set(boundaries))
    for days in range(-1, 25):
        day = START + timedelta(days=days)
        if day not in boundaries:
            before = day - timedelta(days=1)
            assert book.as_of(day, day).rows == book.as_of(before, before).rows
            assert book.as_of(day, day).silent == book.as_of(before, before).silent


def test_the_day_after_a_review_date_and_the_day_of_an_assessment_are_boundaries() -> None:
    basis = Basis("a test", START, "in_force", "A", review_by=date(2026, 3, 1))
    rows = (
        Place("a", ("DE",), basis),
        Mechanism("m", "scc", "r", "p", ("US",), replace(basis, review_by=None), "", "TIA", date(2026, 4, 1)),
    )
    assert FactBook(rows).boundaries() == (START, date(2026, 3, 2), date(2026, 4, 1))


def test_an_annulled_version_lets_no_older_one_step_in() -> None:
    old = Place("a", ("DE",), Basis("a test", START, "in_force", "O"))
    annulled = replace(old, basis=replace(old.basis, status="annulled", known_from=date(2026, 2, 1)))
    book = FactBook((old, annulled))
    assert book.as_of(START, START).place("a") == old
    later = date(2026, 2, 1)
    assert book.as_of(later, later).place("a") is None
    assert book.as_of(START, later).place("a") is None, "what we know now of then"
    assert book.as_of(later, START).place("a") == old, "what we thought then of now"
    assert book.as_of(later, later).silent == (annulled,)


@given(rows_from(ANY_ROW), st.randoms())
def test_equal_books_are_equal_however_they_were_put_together(rows: list[Row], chance: Any) -> None:
    book = FactBook(tuple(rows))
    shuffled = list(rows)
    chance.shuffle(shuffled)
    half = len(rows) // 2
    other = FactBook(tuple(shuffled[:half])).joined(FactBook(tuple(shuffled[half:])))
    assert other == book
    assert other.digest() == book.digest()
    if rows:
        assert FactBook(tuple(rows[1:])).digest() != book.digest()
        assert book.without(rows[0].row).digest() != book.digest()


@given(rows_from(ANY_ROW))
def test_a_dumped_book_is_plain_json_and_reads_back_equal(rows: list[Row]) -> None:
    book = FactBook(tuple(rows))
    book = book.without(rows[0].row) if len(rows) > 2 else book
    text = json.dumps(dump_facts(book))
    again = parse_facts(json.loads(text))
    assert again == book
    assert again.digest() == book.digest()
    assert json.dumps(dump_facts(again)) == text


def test_every_field_counts_in_the_digest() -> None:
    row = own_target("store", "vault:a", "here", Basis("a test", START, "in_force", "O"))
    changed: list[Row] = [
        replace(row, max_level="public"), replace(row, pinned=False), replace(row, trains_by_default=None),
        replace(row, retention_days=0), replace(row, support=("anywhere",)), replace(row, price_permille=1001),
        replace(row, basis=replace(row.basis, status="challenged")),
        replace(row, basis=replace(row.basis, valid_to=date(2027, 1, 1))),
        Opening("store", "vault:a", "restricted", row.basis),
    ]  # fmt: skip
    digests = {FactBook((each,)).digest() for each in [row, *changed]}
    assert len(digests) == len(changed) + 1
    assert all(len(each) == 64 for each in digests)


def test_two_versions_with_the_same_days_are_refused_wherever_they_meet() -> None:
    row = Place("a", ("DE",), Basis("a test", START, "in_force", "O"))
    again = replace(row, jurisdictions=("FR",), basis=replace(row.basis, known_from=START))
    with pytest.raises(OperatorError, match="GL-FACTS-004") as refused:
        FactBook((row,)).joined(FactBook((again,)))
    assert "place/a" in refused.value.message
    assert FactBook((row,)).overlaid_with(FactBook((again,))).rows == (again,)
    assert FactBook((row,)).replaced(again).rows == (again,)


def test_an_overlay_replaces_all_versions_and_a_replacement_only_its_own() -> None:
    first = Place("a", ("DE",), Basis("a test", START, "in_force", "O"))
    second = replace(first, basis=replace(first.basis, known_from=date(2026, 2, 1)))
    third = replace(first, basis=replace(first.basis, known_from=date(2026, 3, 1), status="annulled"))
    book = FactBook((first, second))
    assert book.overlaid_with(FactBook((third,))).rows == (third,)
    assert book.replaced(third).rows == (first, second, third)
    assert book.versions("place/a") == (second, first)
    assert book.versions("place/b") == ()


def test_a_row_that_is_taken_away_stays_missing_until_it_is_there_again() -> None:
    row = Place("a", ("DE",), Basis("a test", START, "in_force", "O"))
    book = FactBook((row,))
    gone = book.without("place/a")
    assert (gone.rows, gone.missing) == ((), ("place/a",))
    assert gone != FactBook()
    assert gone.joined(book) == gone.replaced(row) == gone.overlaid_with(book) == book
    with pytest.raises(OperatorError, match="GL-FACTS-009"):
        book.without("place/b")


def test_a_book_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("greylag.governance.facts.book.MAX_ROWS", 1)
    basis = Basis("a test", START, "in_force", "O")
    with pytest.raises(OperatorError, match="GL-FACTS-008"):
        FactBook((Place("a", ("DE",), basis), Place("b", ("DE",), basis)))


def test_the_order_of_lists_in_a_row_means_nothing() -> None:
    basis = Basis("a test", START, "in_force", "O")
    one = Processor("A", "A", "US", basis, ("C", "B"), (Control("US", "b"), Control("US", "a")))
    two = Processor("A", "A", "US", basis, ("B", "C", "B"), (Control("US", "a"), Control("US", "b")))
    assert FactBook((one,)) == FactBook((two,))


def test_snapshots_are_values() -> None:
    book = FactBook((Place("a", ("DE",), Basis("a test", START, "in_force", "O")),))
    assert book.as_of(START, START) == book.as_of(START, START)
    assert book.as_of(START, START) != book.as_of(START, date(2026, 1, 2))
    assert isinstance(hash(book.as_of(START, START)), int)
    assert FactBase(START, START).targets == ()
