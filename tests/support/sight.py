"""A gateway's sight for tests that are not about labels: it finds nothing, and restores nothing."""

from greylag.adapters.models.port import Restorer
from greylag.domain.labels import Label


class PlainSight:
    """Finds nothing in any prompt."""

    def of_prompt(self, body: bytes, base: Label) -> tuple[Label, tuple[str, ...]]:
        """Return ``base`` as it is, and nobody's marks."""
        return base, ()

    def restorer(self, task_id: str, *, in_json: bool) -> Restorer:
        """Return a restorer that knows no pseudonym."""
        return _AsItIs()


class _AsItIs:
    def feed(self, text: str) -> str:
        return text

    def close(self) -> str:
        return ""
