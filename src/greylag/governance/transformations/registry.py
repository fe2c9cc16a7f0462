"""The transformations there are. A label is lowered by one of these or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from greylag.governance.scanning.values import Findings
from greylag.governance.transformations.aggregation import DEFAULTS, aggregate
from greylag.governance.transformations.concealing import encrypt, link
from greylag.governance.transformations.pseudonyms import IDENTIFIERS, pseudonymise
from greylag.governance.transformations.redaction import redact
from greylag.governance.transformations.values import Parameters, Transformed, Work, refused


@dataclass(frozen=True, slots=True)
class Transformation:
    """One registered transformation, and what it may do to a label.

    ``scope``: classes whose finds it must leave none of (empty: all). ``removes``: classes that are gone by the way it
    works, found or not (``*``: all). ``adds``: classes of what it makes. ``lowers``: (from, to), levels it may take a
    label between. ``gives``: the media type of the result where it is another. ``replaces``: nothing of the input is
    left as it was written. ``opaque``: nobody without the key can read it.
    """

    name: str
    version: str
    parameters: Parameters
    work: Work
    scope: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    lowers: tuple[tuple[str, str], ...] = ()
    gives: str = ""
    replaces: bool = False
    opaque: bool = False
    accepts: tuple[str, ...] = ()

    def ends(self, key: str) -> bool:
        """Whether nothing of class ``key`` can be left, by the way it works."""
        return any(each == "*" or key == each or key.startswith(f"{each}.") for each in self.removes)

    def apply(
        self, content: bytes, media_type: str, findings: Findings, *, key: bytes | None, parameters: Parameters
    ) -> Transformed:
        """Return the content after the transformation.

        Raises RequestRefused ``GL-TRANSFORM-002`` for parameters it has not, and what the work itself refuses.
        """
        unknown = sorted(set(parameters) - set(self.parameters) - set(self.accepts))
        if unknown:
            raise refused(
                "002", f"`{self.name}` has no parameter `{unknown[0][:60]}`;"
                f" got/expected: {unknown[0][:60]!r}/some of {sorted({*self.parameters, *self.accepts})}.",
                "correct the parameters of the obligation.",
            )  # fmt: skip
        return self.work(content, media_type, findings, {**self.parameters, **parameters}, key)


#: What a row says of whom it is about; a group's count and sums say none of it.
_OF_ROWS = (
    "finance.transaction", "user.account", "user.contact", "user.device", "user.financial", "user.government_id",
    "user.name", "user.unique_id",
)  # fmt: skip
_TO_INTERNAL = (("restricted", "internal"), ("confidential", "internal"))

TRANSFORMATIONS: Mapping[str, Transformation] = MappingProxyType(
    {
        each.name: each
        for each in (
            Transformation(
                "pseudonymise", "1", {}, pseudonymise, scope=IDENTIFIERS, adds=("user", "user.unique_id.pseudonymous"),
                lowers=(("confidential", "internal"),),
            ),
            Transformation("redact", "1", {}, redact, lowers=_TO_INTERNAL),
            Transformation(
                "aggregate", "1", DEFAULTS, aggregate, removes=_OF_ROWS, adds=("finance.aggregate",),
                lowers=_TO_INTERNAL, replaces=True, accepts=("group_by", "sum", "subject"),
            ),
            Transformation("encrypt", "1", {}, encrypt, gives="application/octet-stream", opaque=True),
            Transformation(
                "link-instead-of-content", "1", {}, link, removes=("*",), lowers=_TO_INTERNAL, gives="text/plain",
                replaces=True, accepts=("task", "link"),
            ),
        )
    }
)  # fmt: skip
