"""The canonical form of a ledger entry."""

from greylag.domain.errors import RequestRefused
from greylag.governance import canonical


def canonical_json(value: object) -> bytes:
    """Return the one UTF-8 spelling of ``value``; see `greylag.governance.canonical`.

    Raises RequestRefused ``GL-LEDGER-001`` for what has none.
    """
    try:
        return canonical.canonical_json(value, "entry")
    except ValueError as error:
        raise RequestRefused(
            "GL-LEDGER-001",
            f"an entry can't be written: {error}.",
            "use text, integers up to 2^53-1, booleans, null, lists and objects with text keys.",
        ) from None
