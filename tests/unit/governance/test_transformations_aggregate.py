"""Aggregation: no row survives, no small group is told, and what can't be read is refused whole."""

import csv
import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.domain.errors import RequestRefused
from greylag.governance.scanning import Findings
from greylag.governance.transformations import TRANSFORMATIONS
from tests.support.scanners import shipped

CSV, JSON = "text/csv", "application/json"
HEAD = "date,account,amount,currency\n"


def aggregated(content: str, media_type: str = CSV, **parameters: str) -> list[dict[str, str]]:
    done = TRANSFORMATIONS["aggregate"].apply(content.encode(), media_type, Findings(), key=None, parameters=parameters)
    if media_type == JSON:
        return list(json.loads(done.content))
    return list(csv.DictReader(done.content.decode().splitlines()))


def rows(count: int, *, month: str = "03", currency: str = "GBP", amount: str = "12.34", start: int = 0) -> str:
    return "".join(f"2024-{month}-05,ACC{start + number:05d},{amount},{currency}\n" for number in range(count))


def test_groups_are_counted_and_summed_by_currency_and_month() -> None:
    told = aggregated(HEAD + rows(20) + rows(12, month="04") + rows(30, currency="EUR"))
    assert told == [
        {"currency": "EUR", "month": "2024-03", "count": "30", "sum_amount": "370"},
        {"currency": "GBP", "month": "2024-03", "count": "20", "sum_amount": "250"},
        {"currency": "GBP", "month": "2024-04", "count": "10", "sum_amount": "150"},
    ]


@pytest.mark.parametrize(("size", "told"), [(9, 0), (10, 1)])
def test_a_group_of_fewer_than_ten_people_is_left_out(size: int, told: int) -> None:
    assert len(aggregated(HEAD + rows(size))) == told


def test_many_rows_of_one_account_are_one_person() -> None:
    assert aggregated(HEAD + rows(1) * 500) == []


def test_the_sum_of_a_group_in_which_one_has_more_than_half_is_withheld() -> None:
    told = aggregated(HEAD + rows(12) + "2024-03-06,RICH,99999.99,GBP\n")
    assert [(row["count"], row["sum_amount"]) for row in told] == [("10", "")]


def test_json_is_aggregated_to_json() -> None:
    records = [
        {"date": "2024-03-05", "account": f"A{number}", "amount": 12.34, "currency": "GBP"} for number in range(20)
    ]
    assert aggregated(json.dumps(records), JSON) == [
        {"currency": "GBP", "month": "2024-03", "count": "20", "sum_amount": "250"}
    ]


def test_columns_can_be_chosen_and_the_currency_always_parts_groups() -> None:
    content = "shop,account,amount,currency,fee\n" + "".join(
        f"{shop},A{number},1.5,{currency},2\n" for shop in ("North", "South") for currency in ("GBP", "EUR")
        for number in range(15)
    )  # fmt: skip
    told = aggregated(content, group_by="shop", sum="fee", count_step="1", sum_step="1")
    assert told[0] == {"currency": "EUR", "shop": "North", "count": "15", "sum_fee": "30"}
    assert len(told) == 4


@pytest.mark.parametrize("cell", ["=cmd()", "ada@posteo.de", "x" * 60, "1234567", "a\u202eb", "@x", "-1"])
def test_what_stands_in_a_group_s_name_is_plain_or_other(cell: str) -> None:
    content = "kind,account,amount\n" + "".join(f"{cell},A{number},1\n" for number in range(20))
    assert [row["kind"] for row in aggregated(content, group_by="kind")] == ["(other)"]


def test_a_heading_that_is_no_word_is_not_told() -> None:
    content = "ada@posteo.de,account,amount\n" + "".join(f"x,A{number},1\n" for number in range(20))
    assert list(aggregated(content, group_by="ada@posteo.de")[0]) == ["column_1", "count", "sum_amount"]


@pytest.mark.parametrize(
    ("written", "amount"),
    [("1,234.50", "1234.50"), ("1.234,50", "1234.50"), ("12,5", "12.5"), ("-3", "-3"), ("£7.10", "7.10"),
     ("1'000", "1000"), ("EUR 5", "5"), ("5 EUR", "5")],
)  # fmt: skip
def test_amounts_are_read_as_people_write_them(written: str, amount: str) -> None:
    content = "account;amount\n" + "".join(f"A{number};{written}\n" for number in range(20))
    told = aggregated(content, sum_step="1")
    assert Decimal(told[0]["sum_amount"]) == (Decimal(amount) * 20).to_integral_value()


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        ("", CSV), ("only a heading", CSV), ("a,b\n1\n", CSV), ("a,a\n1,2\n", CSV),
        (HEAD + "2024-03-01,A,many,GBP", CSV),
        (HEAD + "2024-03-01,A,NaN,GBP", CSV), (HEAD + "2024-03-01,A,1e9,GBP", CSV), (HEAD + '2024-03-01,"A,1,GBP', CSV),
        (HEAD + "2024-03-01,A\x00,1,GBP", CSV), ("{}", JSON), ("[]", JSON), ("[1]", JSON), ('[{"amount": [1]}]', JSON),
        ("[" * 50_000, JSON), ("{", JSON),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused_whole(content: str, media_type: str) -> None:
    with pytest.raises(RequestRefused, match=r"GL-TRANSFORM-00[35]"):
        aggregated(content, media_type)


@pytest.mark.parametrize(
    "parameters",
    [{"k": "2"}, {"k": "-5"}, {"k": "many"}, {"k": "\u0661\u0660"}, {"group_by": "nothing"}, {"group_by": "account"},
     {"group_by": "amount"}, {"sum": "nothing"}, {"colour": "red"}, {"sum_step": "0"}],
)  # fmt: skip
def test_bad_parameters_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(RequestRefused, match="GL-TRANSFORM-002"):
        aggregated(HEAD + rows(20), **parameters)


ROWS = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(0, 30), st.integers(1, 10**6), st.sampled_from(["GBP", "EUR", "CHF", "USD"])
    ),
    min_size=1, max_size=120,
)  # fmt: skip


@given(ROWS, st.integers(3, 15))
@settings(max_examples=150, deadline=None)
def test_nothing_of_a_small_group_and_no_value_of_a_row_is_in_the_result(
    made: list[tuple[int, int, int, str]], k: int
) -> None:
    lines = [
        (f"2024-0{month}-11", f"ACC{account:07d}", f"{pence + 10_000_000}.{37 + pence % 9}", currency)
        for month, account, pence, currency in made
    ]  # fmt: skip
    done = TRANSFORMATIONS["aggregate"].apply(
        (HEAD + "".join(",".join(line) + "\n" for line in lines)).encode(), CSV, Findings(), key=None,
        parameters={"k": str(k)},
    )  # fmt: skip
    told = done.content.decode()
    people: dict[tuple[str, str], set[str]] = {}
    for date, account, _, currency in lines:
        people.setdefault((currency, date[:7]), set()).add(account)
    shown = {(row["currency"], row["month"]) for row in csv.DictReader(told.splitlines())}
    assert shown == {group for group, accounts in people.items() if len(accounts) >= k}
    assert not any(value in told for date, account, amount, _ in lines for value in (date, account, amount))
    assert shipped().scan_content(done.content, CSV).found == ()
