"""How the gateway says no: Anthropic's error shape, and a status that makes a harness stop after one request.

Harnesses try again on 400, 401, 408, 429 and every 5xx; ``451 Unavailable For Legal Reasons`` (RFC 7725) ends the run
at once and its text reaches the person. So every refusal is a 451, also where ledger or policy are down: each further
try would be refused alike, and trying a failed run again is the workflow's decision, not the harness's.
"""

from dataclasses import dataclass

import msgspec

from greylag.domain.errors import BackendError, GreylagError

REFUSED = 451
OVERLOADED = 529
_TEXT_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An HTTP status and Anthropic's error type and text for it."""

    status: int
    kind: str
    text: str

    def body(self) -> bytes:
        """Return the JSON body ``{"type": "error", "error": {"type": …, "message": …}}``."""
        return msgspec.json.encode({"type": "error", "error": {"type": self.kind, "message": self.text}})

    def event(self) -> bytes:
        """Return it as the server-sent event that ends a stream which can't go on."""
        return b"event: error\ndata: " + self.body() + b"\n\n"


def answer_for(error: GreylagError) -> ErrorAnswer:
    """Return what the harness is told: 529 for a transient failure of the endpoint, 451 for everything else."""
    text = " ".join(str(error).split())[:_TEXT_CHARACTERS]
    if isinstance(error, BackendError) and error.transient:
        return ErrorAnswer(OVERLOADED, "overloaded_error", text)
    return ErrorAnswer(REFUSED, "permission_error", text)
