"""Every upstream and the gateway before it keep the port's promises; broken ones are found out."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from models_stage import ENDPOINT, KEY, MODEL, PRICE, Hall, Stub, anthropic, hall_of
from test_model_scripted import cassette

from greylag.adapters.models.backends.anthropic import AnthropicUpstream
from greylag.adapters.models.backends.scripted import ScriptedUpstream
from greylag.adapters.models.conformance import (
    Finding,
    GatewaySubject,
    UpstreamSubject,
    examine_gateway,
    examine_upstream,
)  # fmt: skip
from greylag.adapters.models.port import ModelCall, ModelReply, Price, Upstream
from greylag.adapters.models.prices import ListedPrices
from greylag.domain.errors import OperatorError
from greylag.domain.ids import DecisionId
from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.egress.http import HttpDoor
from greylag.egress.permit import Permit, mint

SAY_HI = cassette(scenes=[{"prompt": "", "turns": [{"say": "Hi."}]}], when="")


def admit(body: bytes) -> Permit:
    return mint(DecisionId("dec_1"), Stage.PROMPT, ENDPOINT, f"sha256:{hashlib.sha256(body).hexdigest()}", 0)


@pytest.fixture(params=["anthropic", "scripted"])
async def upstream(request: pytest.FixtureRequest, stub: Stub) -> AsyncIterator[tuple[Upstream, str]]:
    made: tuple[Upstream, str] = (
        (anthropic(stub), MODEL) if request.param == "anthropic" else (ScriptedUpstream(ENDPOINT, [SAY_HI]), "scripted")
    )
    yield made
    await made[0].close()


def unmet(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {finding.name: finding.detail for finding in findings if not finding.passed}


async def test_upstreams_keep_their_promises(upstream: tuple[Upstream, str]) -> None:
    findings = await examine_upstream(UpstreamSubject(upstream[0], admit, upstream[1], "Say hi."))
    assert len(findings) == 5
    assert unmet(findings) == {}


async def test_the_gateway_keeps_its_promises(upstream: tuple[Upstream, str], socket_dir: Path) -> None:
    hall = hall_of(upstream[0], socket_dir)
    grant = hall.grant()
    subject = GatewaySubject(
        hall.gateway, grant, upstream[1], "Say hi.", denied=replace(grant, label=Label("restricted"))
    )
    findings = await examine_gateway(subject)
    assert len(findings) == 12
    assert unmet(findings) == {}


class Careless(ScriptedUpstream):
    """Sends without looking at the permit, has a price for everything, and forgets the end of its streams."""

    def price(self, model: str) -> Price | None:
        return super().price("scripted")

    async def send(self, permit: Permit, call: ModelCall) -> ModelReply:
        reply = await super().send(admit(call.body), call)
        chunks = [chunk async for chunk in reply.chunks]

        async def torn() -> AsyncIterator[bytes]:
            for chunk in chunks[:-2] if call.stream else chunks:
                yield chunk

        return ModelReply(reply.status, reply.headers, torn())  # type: ignore[arg-type]


async def test_the_examination_finds_a_careless_upstream_out(socket_dir: Path) -> None:
    careless = Careless(ENDPOINT, [SAY_HI])
    findings = unmet(await examine_upstream(UpstreamSubject(careless, admit, "scripted", "Say hi.")))
    assert set(findings) == {"prices its model", "streams", "refuses a permit for other bytes"}
    hall = hall_of(careless, socket_dir)
    broken = unmet(await examine_gateway(GatewaySubject(hall.gateway, hall.grant(), "scripted", "Say hi.")))
    assert set(broken) == {"refuses an unknown price", "relays a stream"}


async def test_the_examination_finds_a_policy_that_says_yes_to_all_out(hall: Hall) -> None:
    subject = GatewaySubject(hall.gateway, hall.grant(), MODEL, "Say hi.", denied=hall.grant())
    assert set(unmet(await examine_gateway(subject))) == {"holds policy"}


@pytest.mark.parametrize("key", ["", "short", "with space in it", "line\nbreak-line", "schlüssel-schlüssel"])
def test_what_cannot_be_a_key_is_not_taken_and_not_repeated(key: str) -> None:
    door = HttpDoor("https://api.example.com", Stage.PROMPT, ENDPOINT)
    with pytest.raises(OperatorError) as raised:
        AnthropicUpstream(ENDPOINT, door, key, lambda model: PRICE)
    assert raised.value.code == "GL-MODEL-001"
    assert not key or key not in str(raised.value)


def test_a_real_upstream_has_no_label_and_shows_no_key() -> None:
    door = HttpDoor("https://api.example.com", Stage.PROMPT, ENDPOINT)
    upstream = AnthropicUpstream(ENDPOINT, door, KEY, lambda model: PRICE)
    assert upstream.label == ""
    assert KEY not in repr(upstream)


def listed(year: int = 2026, month: int = 7) -> ListedPrices:
    return ListedPrices("anthropic", lambda: datetime(year, month, 1, tzinfo=UTC))


def test_listed_prices_are_whole_and_name_their_list() -> None:
    price = listed()("claude-sonnet-4-20250514")
    assert price is not None
    assert (price.input_usd_micros, price.output_usd_micros) == (3_000_000, 15_000_000)
    assert (price.cache_read_usd_micros, price.cache_write_usd_micros) == (300_000, 3_750_000)
    assert price.long_cache_write_usd_micros == 6_000_000
    assert price.source.startswith("genai-prices ")
    assert price.source.endswith(" anthropic/claude-sonnet-4-0")


def test_long_prompts_have_their_own_rates_and_dates_count() -> None:
    price = listed()("claude-sonnet-4-5")
    assert price is not None
    assert price.long_prompt is not None
    above, dear = price.long_prompt
    assert (above, dear.input_usd_micros, dear.output_usd_micros) == (200_000, 6_000_000, 22_500_000)
    before, after = listed(2026, 3)("claude-opus-4-6"), listed(2026, 4)("claude-opus-4-6")
    assert before is not None
    assert after is not None
    assert (before.long_prompt is not None, after.long_prompt) == (True, None)


@pytest.mark.parametrize("model", ["", "no-such-model", "gpt-5", "scripted", "\x00", "x" * 10_000])
def test_unlisted_models_have_no_price(model: str) -> None:
    assert listed()(model) is None


def test_a_thousand_made_up_names_are_not_kept() -> None:
    prices = listed()
    for number in range(2000):
        prices(f"made-up-{number}")
    assert len(prices._known) <= 512


def test_a_provider_without_a_list_is_the_operators_to_mend() -> None:
    with pytest.raises(OperatorError) as raised:
        ListedPrices("no-such-provider", lambda: datetime(2026, 7, 1, tzinfo=UTC))("x")
    assert raised.value.code == "GL-PRICE-001"
