"""A real endpoint that speaks Anthropic's Messages protocol: the company's own, or any server that speaks it."""

import re
from collections.abc import Callable

from greylag.adapters.models.port import ModelCall, ModelReply, Price
from greylag.domain.errors import OperatorError
from greylag.egress.http import HttpDoor
from greylag.egress.permit import Permit

PROTOCOL_VERSION = "2023-06-01"
_KEY = re.compile(r"[\x21-\x7e]{8,512}")


class AnthropicUpstream:
    """Sends calls through ``http`` (a door for stage ``prompt`` towards ``endpoint``) with the platform's key.

    ``prices`` answers a model's rates or None. The key comes from the caller alone, and goes nowhere but into the
    one header. Raises OperatorError ``GL-MODEL-001`` for something that can't be a key.
    """

    label = ""

    def __init__(self, endpoint: str, http: HttpDoor, api_key: str, prices: Callable[[str], Price | None]) -> None:
        if not _KEY.fullmatch(api_key):
            raise OperatorError(
                "GL-MODEL-001",
                f"the key of endpoint `{endpoint}` is not 8 to 512 visible ASCII characters.",
                "set the key as the provider gave it, without spaces or line ends.",
            )
        self.endpoint = endpoint
        self._http = http
        self._api_key = api_key
        self._prices = prices

    def price(self, model: str) -> Price | None:
        """Return the rates of ``model``; None for unknown."""
        return self._prices(model)

    async def send(self, permit: Permit, call: ModelCall) -> ModelReply:
        """Send ``call`` once. Raises as `HttpDoor.request`."""
        headers = {
            "anthropic-version": PROTOCOL_VERSION,
            **call.headers,
            "content-type": "application/json",
            "accept": "text/event-stream" if call.stream else "application/json",
            "x-api-key": self._api_key,
        }
        reply = await self._http.request(permit, "POST", call.path, headers, call.body)
        return ModelReply(reply.status, reply.headers, reply)

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()
