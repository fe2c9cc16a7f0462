"""What the scanner finds, where, and that nothing in a text can hide, mislead or stop it."""

import json
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scanner_corpus import corpus
from bench.scanning import scores
from greylag.governance.scanning import MAX_CHARACTERS, MAX_FINDINGS, Findings, label_of_findings
from greylag.governance.scanning.folding import fold
from tests.support.scanners import ROOT, shipped

#: What has to be found of a corpus the rules were not written on. Lines no rule can understand are in it.
LEAST_RECALL = 0.95
LEAST_RECALL_OF_ONE = 0.6
MOST_FALSE_RATE_OF_ONE = 0.01


def found(text: str) -> list[tuple[str, str]]:
    return [(each.rule, text[each.start : each.end]) for each in shipped().scan(text).found]


def test_the_corpus_is_what_its_maker_makes() -> None:
    file = ROOT / "bench" / "corpora" / "scanner.jsonl"
    assert [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] == corpus()
    assert len(corpus()) >= 300


def test_recall_and_false_finds_of_the_corpus_stay_where_they_are() -> None:
    every = scores(shipped())
    assert sum(each.found for each in every.values()) / sum(each.lines for each in every.values()) >= LEAST_RECALL
    assert {rule: each.recall for rule, each in every.items() if each.recall < LEAST_RECALL_OF_ONE} == {}
    assert {rule: each.false_rate for rule, each in every.items() if each.false_rate > MOST_FALSE_RATE_OF_ONE} == {}
    assert [rule for rule, each in every.items() if not each.lines] == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("ada\u200b.lovelace@pos\u00adteo.de", "ada\u200b.lovelace@pos\u00adteo.de"),
        ("x \uff41\uff44\uff41@posteo.de", "\uff41\uff44\uff41@posteo.de"),
        (r"\u0061da\u0040posteo.de and", r"\u0061da\u0040posteo.de"),
        ("?m=ada%40posteo.de&x", "ada%40posteo.de"),
        ("<a>ada&#64;posteo.de</a>", "ada&#64;posteo.de"),
        ("ada&#x40;posteo.de", "ada&#x40;posteo.de"),
        ("\u202eada@posteo.de", "ada@posteo.de"),
        (r"one\nada@posteo.de\nb", "ada@posteo.de"),
        ("tel +٤٩ ٣٠ ٩٠١٨٢٠٠", "+٤٩ ٣٠ ٩٠١٨٢٠٠"),
        ("DE89\u00a03704\u202f0044 0532 0130 00", "DE89\u00a03704\u202f0044 0532 0130 00"),
        ("身份证号11010519491231002X。", "11010519491231002X"),
    ],
)  # fmt: skip
def test_an_identifier_in_disguise_is_found_where_it_stands(text: str, value: str) -> None:
    assert value in [each for _, each in found(text)]


@pytest.mark.parametrize(
    "text",
    [
        "# nosec ada@posteo.de", "ada@posteo.de // pragma: allowlist secret", "gitleaks:allow ada@posteo.de",
        "<!-- greylag: ignore --> ada@posteo.de",
    ],
)  # fmt: skip
def test_a_text_cannot_ask_to_be_skipped(text: str) -> None:
    assert ("email", "ada@posteo.de") in found(text)


def test_what_a_find_says_is_not_shown() -> None:
    seen = shipped().scan("ada@posteo.de")
    assert "ada" not in repr(seen)
    assert seen.found[0].value == "ada@posteo.de"


def test_a_column_s_heading_is_context_for_its_cells() -> None:
    number = "9434765919"
    assert found(f"id,nhs_number,city\n1,{number},Leeds\n2,{number},York") == [
        ("uk-nhs-number-named", number), ("uk-nhs-number-named", number),
    ]  # fmt: skip
    assert found(f"id,order_number,city\n{'x' * 80},{number},Leeds") == []


def test_a_quoted_cell_does_not_shift_columns() -> None:
    far = "x" * 100
    assert found(f'id,name,ssn\n1,"{far}, y",536904399') == [("us-ssn-named", "536904399")]


def test_a_table_and_the_identifiers_in_it_are_both_found() -> None:
    text = "date,iban,amount\n2024-03-01,DE89370400440532013000,12.50\n"
    assert {rule for rule, _ in found(text)} == {"transactions", "iban"}


def test_of_two_readings_of_the_same_digits_both_count() -> None:
    assert {rule for rule, _ in found("377898199012205602")} == {"cn-resident-id", "payment-card"}


def test_strings_keys_and_numbers_of_json_are_read_decoded() -> None:
    document = json.dumps({"m": "a\u0040b.de is ada@posteo.de", "k@posteo.de": 1, "card": 4929123456789015})
    seen = shipped().scan_json(document.replace("@", "\\u0040").encode())
    assert [(each.rule, each.item) for each in seen.found] == [
        ("email", 1), ("email", 1), ("email", 2), ("payment-card", 5),
    ]  # fmt: skip


def test_the_key_of_a_json_value_is_context() -> None:
    seen = shipped().scan_json(b'{"nhs_number": "9434765919"}')
    assert [(each.rule, each.item, each.start, each.end) for each in seen.found] == [("uk-nhs-number-named", 1, 0, 10)]
    assert shipped().scan_json(b'{"order": "9434765919"}').found == ()


def test_json_in_a_string_of_json_is_read() -> None:
    inner = json.dumps({"mail": "ada@posteo.de"}).replace("@", "\\u0040")
    assert shipped().scan_json(json.dumps({"result": inner}).encode()).counts == {"email": 1}


def test_records_of_json_are_transactions_wherever_they_stand() -> None:
    rows = [{"date": "2024-03-01", "account": {"iban": "x"}, "amount": 12}]
    assert shipped().scan_json(json.dumps({"deep": {"rows": rows}}).encode()).keys == ("finance.transaction",)
    prose = f"look at {json.dumps({'date': '1', 'payee': 'x', 'amount': 1})} please"
    assert [rule for rule, _ in found(prose)] == ["transactions"]


@pytest.mark.parametrize(
    "broken", [b'{"m": "ada@posteo.de"', b'{"m": NaN, "x": "ada@posteo.de"}', b"[" * 100_000 + b'"ada@posteo.de"']
)
def test_broken_json_is_read_as_text(broken: bytes) -> None:
    assert shipped().scan_json(broken).counts == {"email": 1}


@pytest.mark.parametrize(
    ("content", "complete"),
    [
        (b"ada@posteo.de", True), ("ada@posteo.de ü".encode("latin-1"), True), (b"\xef\xbb\xbfada@posteo.de", True),
        ("ada@posteo.de".encode("utf-16"), True), (b"\x00\x01ada@posteo.de", False),
    ],
)  # fmt: skip
def test_bytes_are_read_as_what_they_are(content: bytes, complete: bool) -> None:
    seen = shipped().scan_content(content, "text/plain")
    assert (seen.counts["email"], seen.complete) == (1, complete)


def test_what_is_too_much_is_not_read_to_its_end_and_counts_as_personal() -> None:
    seen = shipped().scan("a" * (MAX_CHARACTERS + 1))
    label = label_of_findings(seen)
    assert not seen.complete
    assert (label.level, label.classes, label.derived_by) == ("confidential", ("user",), ("scanner:incomplete",))
    many = shipped().scan("a@b.de " * (MAX_FINDINGS + 10))
    assert not many.complete
    assert len(many.found) <= MAX_FINDINGS + 1


def test_the_label_of_nothing_changes_no_label() -> None:
    label = label_of_findings(shipped().scan("nothing here"))
    assert (label.level, label.classes, label.subjects, label.derived_by) == ("public", (), 0, ())


def test_a_label_says_which_people_at_most_from_where_and_why() -> None:
    text = "ada@posteo.de, ADA@posteo.de, +44 20 7946 0958, IBAN DE89 3704 0044 0532 0130 00"
    label = label_of_findings(shipped().scan(text))
    assert label.subjects == 3
    assert label.origins == ("DE", "GB")
    assert label.derived_by == ("scanner:email", "scanner:iban", "scanner:phone-international")
    assert label.level == "confidential"
    assert label_of_findings(shipped().scan("password = 'h7Kq-2mZ9xWv'")).level == "restricted"
    assert label_of_findings(Findings()).subjects == 0


HOSTILE = [
    "a" * 200_000, "1" * 200_000, "@" * 200_000, "a@" * 100_000, "+1" * 100_000, "{" * 200_000, "1 " * 100_000,
    "-----BEGIN PRIVATE KEY-----" * 8_000, "eyJ" * 60_000, "password='" * 20_000, "1,2\n" * 50_000,
    "first_name: a" * 15_000, "\\u0040" * 30_000, "a.b-c@d." * 25_000, "00" * 100_000, "(030) " * 30_000,
    "date,account,amount\n" * 10_000, "ssn " * 50_000, "\u200b" * 100_000, '{"amount":1,"date":' * 10_000,
    "Aa1!" * 50_000, "https://a:" * 20_000, "MRN 1" * 40_000, "1-" * 100_000, "AB12 " * 40_000,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12].encode("unicode_escape").decode())
def test_no_text_takes_long(text: str) -> None:
    begun = time.process_time()
    shipped().scan(text)
    assert time.process_time() - begun < 6


@given(st.text(alphabet="a\u200b\u00ad@%4012\\u0e\uff21&#;6\u202e-", max_size=40))
@settings(max_examples=300, deadline=None)
def test_every_folded_character_knows_where_it_stood(text: str) -> None:
    folded = fold(text)
    assert len(folded.lowered) == len(folded.text)
    places = [folded.span(place, place + 1) for place in range(len(folded.text))]
    assert all(0 <= start < end <= len(text) for start, end in places)
    assert all(before[1] <= after[0] or before[1] == after[0] for before, after in pairwise(places))


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_finds_lie_within_any_text_and_are_the_same_each_time(before: str, after: str) -> None:
    text = f"{before} ada@posteo.de {after}"
    seen = shipped().scan(text)
    assert seen == shipped().scan(text)
    assert all(0 <= each.start < each.end <= len(text) for each in seen.found)
    assert any(each.rule == "email" for each in seen.found)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    )
)
@settings(max_examples=150, deadline=None)
def test_any_json_is_read(value: object) -> None:
    content = json.dumps({"v": value, "m": "ada@posteo.de"}).encode()
    seen = shipped().scan_json(content)
    assert seen.complete
    assert any(each.rule == "email" for each in seen.found)
