"""The platform's own side of one call: the whole answer in memory, bounded."""

from collections.abc import Mapping

from greylag.domain.errors import BackendError

ANSWER_BYTES = 1024 * 1024


class SingleAnswer:
    """A `Delivery` that keeps what comes from ``endpoint``, at most `ANSWER_BYTES` of it."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._kept = bytearray()

    @property
    def body(self) -> bytes:
        """Return what has come."""
        return bytes(self._kept)

    async def start(self, status: int, headers: Mapping[str, str]) -> None:
        """Take status and headers. Raises BackendError ``GL-GATEWAY-014`` for any status but 200."""
        if status != 200:
            raise BackendError(
                "GL-GATEWAY-014",
                f"endpoint `{self._endpoint}` answered with HTTP {status}.",
                "look at the endpoint's state, or wait.",
                transient=status in (408, 429) or status >= 500,
            )

    async def chunk(self, data: bytes) -> None:
        """Keep the next bytes. Raises BackendError ``GL-GATEWAY-009`` where they are too many."""
        if len(self._kept) + len(data) > ANSWER_BYTES:
            raise BackendError(
                "GL-GATEWAY-009",
                f"endpoint `{self._endpoint}` answered with more than {ANSWER_BYTES} bytes at once.",
                "check what stands at the endpoint's address.",
            )
        self._kept += data

    async def end(self) -> None:
        """Do nothing: what has come is all."""
