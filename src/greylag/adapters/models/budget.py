"""Money of one run: reserved before a call, settled after it, in whole millionths of a US dollar, rounded up."""

from greylag.adapters.models.port import Price
from greylag.adapters.models.reply.usage import Usage
from greylag.domain.errors import RequestRefused

OUTPUT_RESERVE_TOKENS = 8192
"""How much output a call reserves at most: harnesses ask for 128,000 and mostly take a few hundred."""

_BYTES_PER_TOKEN = 3  # code is nearer to 4.8 bytes a token; too many reserved is given back, too few is not
_PER_RATE = 1_000_000


def estimated_tokens(size_bytes: int) -> int:
    """Return an upper estimate of the input tokens of a request of ``size_bytes``."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


def cost_usd_micros(price: Price, usage: Usage) -> int:
    """Return what ``usage`` costs at ``price``, rounded up to the next millionth of a dollar."""
    rates = price
    if price.long_prompt is not None and usage.all_input_tokens > price.long_prompt[0]:
        rates = price.long_prompt[1]
    total = (
        usage.input_tokens * rates.input_usd_micros
        + usage.output_tokens * rates.output_usd_micros
        + usage.cache_read_tokens * rates.cache_read_usd_micros
        + usage.cache_write_tokens * rates.cache_write_usd_micros
        + usage.long_cache_write_tokens * (rates.long_cache_write_usd_micros or rates.cache_write_usd_micros)
    )
    return -(-total // _PER_RATE)


def worst_case(price: Price, size_bytes: int, output_tokens: int) -> int:
    """Return the most a request of ``size_bytes`` with ``output_tokens`` of answer is expected to cost."""
    tokens = estimated_tokens(size_bytes)
    return max(
        cost_usd_micros(price, Usage(input_tokens=tokens, output_tokens=output_tokens)),
        cost_usd_micros(price, Usage(cache_write_tokens=tokens, output_tokens=output_tokens)),
        cost_usd_micros(price, Usage(long_cache_write_tokens=tokens, output_tokens=output_tokens)),
    )


class Budget:
    """The cap of one run. Used from one event loop, and never awaits: each step is atomic.

    ``spent`` is what settled calls cost (with what the task had cost before), ``held`` what calls under way reserved.
    A call reserves its input and at most `OUTPUT_RESERVE_TOKENS` of output, and may be answered with as much output
    as the rest of the cap pays for. So one call at a time can't pass the cap (but for the input estimate); calls side
    by side can, by at most what each of them writes beyond its reserve. After that every call is refused.
    """

    def __init__(self, cap_usd_micros: int, spent_usd_micros: int, max_calls: int) -> None:
        self._cap = cap_usd_micros
        self._calls_left = max_calls
        self._max_calls = max_calls
        self.spent_usd_micros = spent_usd_micros
        self.held_usd_micros = 0

    @property
    def left_usd_micros(self) -> int:
        """Return what may still be reserved; never below zero."""
        return max(0, self._cap - self.spent_usd_micros - self.held_usd_micros)

    def count_call(self) -> None:
        """Take one call of the run's number. Raises RequestRefused ``GL-BUDGET-003`` when they are used up."""
        if self._calls_left <= 0:
            raise RequestRefused(
                "GL-BUDGET-003",
                f"the run has made its {self._max_calls} model calls.",
                "ask for less in one task, or let the operator raise `max_calls`.",
            )
        self._calls_left -= 1

    def reserve(self, amount_usd_micros: int) -> None:
        """Hold ``amount_usd_micros``. Raises RequestRefused ``GL-BUDGET-001`` where the cap would be passed."""
        left = self._cap - self.spent_usd_micros - self.held_usd_micros
        if amount_usd_micros > left:
            raise RequestRefused(
                "GL-BUDGET-001",
                f"the call may cost ${amount_usd_micros / 1e6:.4f}, and ${max(0, left) / 1e6:.4f} of the task's"
                f" ${self._cap / 1e6:.4f} are left.",
                "ask a reviewer to raise the task's budget, or ask for less.",
            )
        self.held_usd_micros += amount_usd_micros

    def settle(self, held_usd_micros: int, cost_usd_micros: int) -> None:
        """Give back what was held and book what the call cost."""
        self.held_usd_micros -= held_usd_micros
        self.spent_usd_micros += cost_usd_micros

    def affordable_output(self, price: Price, size_bytes: int, wanted_tokens: int) -> int:
        """Return how many of ``wanted_tokens`` of output the rest of the cap pays for, before anything is reserved."""
        if worst_case(price, size_bytes, wanted_tokens) <= self.left_usd_micros:
            return wanted_tokens
        least, most = 0, wanted_tokens  # the cost grows with the tokens: halve until the last that fits
        while most - least > 1:
            middle = (least + most) // 2
            if worst_case(price, size_bytes, middle) <= self.left_usd_micros:
                least = middle
            else:
                most = middle
        return least
