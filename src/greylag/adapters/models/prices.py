"""What models cost, from the price list that ships with the installation; nothing is fetched."""

import threading
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING

from greylag.adapters.models.port import Price
from greylag.domain.errors import OperatorError

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice, Provider, TieredPrices

_KNOWN_MODELS = 512
_CACHE_READ, _CACHE_WRITE, _LONG_CACHE_WRITE = Decimal("1"), Decimal("1.25"), Decimal("2")


class ListedPrices:
    """Rates of one provider's models from the `genai-prices` package as they stand at a time.

    Call it with a model's name; None for a model that isn't listed with both an input and an output rate. The list is
    read when first asked (about 0.7 s) and each model's rates are kept. Missing cache rates are taken on the dear
    side: reading as fresh input, writing at 1.25 times, for an hour at twice the input rate.
    """

    def __init__(self, provider: str, now: Callable[[], datetime]) -> None:
        self._provider_id = provider
        self._now = now
        self._lock = threading.Lock()
        self._provider: Provider | None = None
        self._version = ""
        self._known: dict[str, Price | None] = {}

    def __call__(self, model: str) -> Price | None:
        """Return the rates of ``model``. Raises OperatorError ``GL-PRICE-001`` for a provider without a list."""
        with self._lock:
            if model not in self._known:
                if len(self._known) >= _KNOWN_MODELS:
                    self._known.clear()
                self._known[model] = self._look_up(model)
            return self._known[model]

    def _look_up(self, model: str) -> Price | None:
        provider = self._provider or self._load()
        found = provider.find_model(model) if model else None
        if found is None:
            return None
        rates = found.get_prices(self._now())
        source = f"genai-prices {self._version} {self._provider_id}/{found.id}"
        base = _price(rates, 0, source)
        rated = (_tiered(rates, name) for name in ("input_mtok", "output_mtok"))
        starts = sorted({tier.start for rate in rated for tier in getattr(rate, "tiers", ())})
        if base is None or not starts:
            return base
        dearest = _price(rates, starts[-1] + 1, source)
        return None if dearest is None else _with_long_prompt(base, starts[0], dearest)

    def _load(self) -> "Provider":
        # 0.7 s of start-up that only an installation with a paid endpoint should pay.
        import genai_prices  # noqa: PLC0415
        from genai_prices.data import providers  # noqa: PLC0415

        self._provider = next((one for one in providers if one.id == self._provider_id), None)
        if self._provider is None:
            raise OperatorError(
                "GL-PRICE-001",
                f"there is no price list for provider {self._provider_id!r}.",
                "set the rates of the endpoint's models in the settings.",
            )
        self._version = genai_prices.__version__
        return self._provider


def _price(rates: "ModelPrice", input_tokens: int, source: str) -> Price | None:
    fresh, output = _rate(rates, "input_mtok", input_tokens), _rate(rates, "output_mtok", input_tokens)
    if fresh is None or output is None:
        return None
    read = _rate(rates, "cache_read_mtok", input_tokens)
    write = _rate(rates, "cache_write_mtok", input_tokens)
    long = _rate(rates, "cache_write_1h_mtok", input_tokens)
    return Price(
        input_usd_micros=_micros(fresh),
        output_usd_micros=_micros(output),
        cache_read_usd_micros=_micros(fresh * _CACHE_READ if read is None else read),
        cache_write_usd_micros=_micros(fresh * _CACHE_WRITE if write is None else write),
        long_cache_write_usd_micros=_micros(fresh * _LONG_CACHE_WRITE if long is None else long),
        source=source,
    )


def _with_long_prompt(base: Price, above_tokens: int, dear: Price) -> Price:
    return Price(
        base.input_usd_micros, base.output_usd_micros, base.cache_read_usd_micros, base.cache_write_usd_micros,
        base.source, base.long_cache_write_usd_micros, (above_tokens, dear),
    )  # fmt: skip


def _tiered(rates: "ModelPrice", name: str) -> "Decimal | TieredPrices | None":
    rate: Decimal | TieredPrices | None = getattr(rates, name, None)
    return rate


def _rate(rates: "ModelPrice", name: str, input_tokens: int) -> Decimal | None:
    rate = _tiered(rates, name)
    if rate is None or isinstance(rate, Decimal):
        return rate
    passed = [tier.price for tier in rate.tiers if input_tokens > tier.start]
    return passed[-1] if passed else rate.base


def _micros(usd: Decimal) -> int:
    return int((usd * 1_000_000).to_integral_value(rounding=ROUND_CEILING))
