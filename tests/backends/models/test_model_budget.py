"""Money: reserved before, settled after, never passed by calls side by side."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from models_stage import PRICE, Hall, Stub, body, stream_of

from greylag.adapters.models.budget import Budget, cost_usd_micros, estimated_tokens, worst_case
from greylag.adapters.models.port import Price
from greylag.adapters.models.reply.usage import Usage
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import Label

COUNTS = st.integers(0, 2_000_000)
RATES = st.integers(0, 100_000_000)
PRICES = st.builds(Price, RATES, RATES, RATES, RATES, st.just("test"), RATES)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        (Usage(), 0),
        (Usage(input_tokens=1), 3),
        (Usage(output_tokens=1), 15),
        (Usage(cache_read_tokens=1), 1),  # 0.3, rounded up
        (Usage(cache_write_tokens=1), 4),  # 3.75, rounded up
        (Usage(long_cache_write_tokens=1), 6),
        (Usage(1000, 1000, 1000, 1000, 1000), 3000 + 15000 + 300 + 3750 + 6000),
    ],
)
def test_costs(usage: Usage, micros: int) -> None:
    assert cost_usd_micros(PRICE, usage) == micros


def test_long_prompts_are_charged_by_the_long_prompts_rates() -> None:
    dear = Price(6_000_000, 22_500_000, 600_000, 7_500_000, "test")
    price = Price(3_000_000, 15_000_000, 300_000, 3_750_000, "test", 0, (200_000, dear))
    assert cost_usd_micros(price, Usage(input_tokens=200_000)) == 600_000
    assert cost_usd_micros(price, Usage(input_tokens=1, cache_read_tokens=200_000)) == 120_006
    assert cost_usd_micros(price, Usage(long_cache_write_tokens=1000)) == 3750


@given(PRICES, USAGES, USAGES)
def test_money_is_whole_never_negative_and_never_rounded_in_our_favour(price: Price, one: Usage, two: Usage) -> None:
    def exact(usage: Usage) -> int:
        long = price.long_cache_write_usd_micros or price.cache_write_usd_micros
        return (
            usage.input_tokens * price.input_usd_micros + usage.output_tokens * price.output_usd_micros
            + usage.cache_read_tokens * price.cache_read_usd_micros
            + usage.cache_write_tokens * price.cache_write_usd_micros + usage.long_cache_write_tokens * long
        )  # fmt: skip

    cost = cost_usd_micros(price, one)
    assert isinstance(cost, int)
    assert exact(one) <= cost * 1_000_000 < exact(one) + 1_000_000


@given(PRICES, st.integers(0, 8 * 2**20), st.integers(0, 128_000))
def test_the_worst_case_is_no_less_than_any_way_of_charging_it(price: Price, size: int, output: int) -> None:
    tokens, worst = estimated_tokens(size), worst_case(price, size, output)
    for usage in (Usage(tokens, output), Usage(0, output, 0, tokens), Usage(0, output, 0, 0, tokens)):
        assert cost_usd_micros(price, usage) <= worst


@given(PRICES, st.integers(0, 10**7), st.integers(0, 10**6), st.integers(1, 200_000))
def test_affordable_output_is_the_most_that_fits(price: Price, cap: int, size: int, wanted: int) -> None:
    tokens = Budget(cap, 0, 1).affordable_output(price, size, wanted)
    assert 0 <= tokens <= wanted
    if worst_case(price, size, 0) <= cap:
        assert worst_case(price, size, tokens) <= cap
        assert tokens == wanted or worst_case(price, size, tokens + 1) > cap
    else:
        assert tokens == 0


@given(st.integers(0, 1000), st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=30))
def test_what_is_held_never_passes_the_cap(cap: int, calls: list[tuple[int, int]]) -> None:
    budget, held = Budget(cap, 0, 1000), []
    for amount, cost in calls:
        if budget.spent_usd_micros + budget.held_usd_micros + amount > cap:
            with pytest.raises(RequestRefused, match="are left"):
                budget.reserve(amount)
            if held:
                budget.settle(*held.pop())
            continue
        budget.reserve(amount)
        held.append((amount, min(cost, amount)))
        assert budget.spent_usd_micros + budget.held_usd_micros <= cap
    for one in held:
        budget.settle(*one)
    assert budget.held_usd_micros == 0
    assert budget.spent_usd_micros <= cap


def test_the_number_of_calls_is_held() -> None:
    budget = Budget(1, 0, 2)
    budget.count_call()
    budget.count_call()
    with pytest.raises(RequestRefused) as refused:
        budget.count_call()
    assert refused.value.code == "GL-BUDGET-003"


def code(answer: tuple[int, bytes]) -> str:
    return str(json.loads(answer[1])["error"]["message"]).split(":")[0]


async def test_calls_side_by_side_do_not_share_the_same_money(hall: Hall, stub: Stub) -> None:
    release = asyncio.Event()

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        await release.wait()
        return web.json_response({"usage": {"input_tokens": 10, "output_tokens": 10}})

    stub.answer = answer
    one = worst_case(PRICE, len(body()), 1000)
    async with hall.run(cap_usd_micros=2 * one + one // 2) as run:
        calls = [asyncio.create_task(run.ask()) for _ in range(6)]
        while sum(call.done() for call in calls) < 4 or len(stub.seen) < 2:
            await asyncio.sleep(0.01)
        assert len(stub.seen) == 2
        release.set()
        answers = await asyncio.gather(*calls)
    refused = [answer for answer in answers if answer[0] == 451]
    assert len(refused) == 4
    assert {code(answer) for answer in refused} == {"GL-BUDGET-001"}
    assert len(hall.ledger.of("decision")) == 2  # what is refused for money is not even asked about


async def test_a_great_max_tokens_reserves_little_and_is_cut_to_what_is_left(hall: Hall, stub: Stub) -> None:
    async with hall.run(cap_usd_micros=200_000) as run:  # 128,000 tokens of output would be $1.92
        assert (await run.ask(max_tokens=128_000))[0] == 200
        assert (await run.ask(max_tokens=100))[0] == 200
    granted = [fields["max_tokens"] for _, fields in stub.seen]
    assert 13_000 < granted[0] <= 200_000 // 15
    assert granted[1] == 100


async def test_a_call_that_cannot_be_given_its_thinking_is_refused(hall: Hall, stub: Stub) -> None:
    thinking = {"type": "enabled", "budget_tokens": 31_999}
    async with hall.run(cap_usd_micros=200_000) as run:
        assert code(await run.ask(max_tokens=32_000, thinking=thinking)) == "GL-BUDGET-001"
        assert (await run.ask(max_tokens=32_000))[0] == 200
    assert len(stub.seen) == 1


async def test_one_call_after_another_stays_below_the_cap(hall: Hall, stub: Stub) -> None:
    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return await stub.stream(request, [stream_of(output_tokens=fields["max_tokens"], input_tokens=30)])

    stub.answer = answer
    async with hall.run(cap_usd_micros=1_000_000, spent_usd_micros=100_000) as run:
        answers = [await run.ask(stream=True, max_tokens=20_000) for _ in range(8)]
        await run.close()
    assert [status for status, _ in answers[:3]] == [200, 200, 200]
    assert [status for status, _ in answers[-4:]] == [451] * 4
    assert sum(receipt.cost_usd_micros for receipt in hall.receipts) <= 900_000


async def test_what_was_spent_before_counts(hall: Hall, stub: Stub) -> None:
    async with hall.run(cap_usd_micros=1_000_000, spent_usd_micros=999_999) as run:
        assert code(await run.ask()) == "GL-BUDGET-001"
    assert stub.seen == []


async def test_an_unknown_price_is_refused(hall: Hall, stub: Stub) -> None:
    async with hall.run() as run:
        assert code(await run.ask(model="mystery-9")) == "GL-BUDGET-002"
    assert stub.seen == []


async def test_refused_calls_count_so_that_a_run_cannot_fill_the_ledger(hall: Hall) -> None:
    async with hall.run(label=Label("restricted"), max_calls=3) as run:
        codes = [code(await run.ask()) for _ in range(5)]
    assert codes == ["GL-POLICY-001"] * 3 + ["GL-BUDGET-003"] * 2
    assert len(hall.ledger.entries) == 3
