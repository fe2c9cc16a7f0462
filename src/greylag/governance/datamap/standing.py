"""Where a target is and whose it is, by the facts of one day."""

import re

from greylag.governance.datamap.values import Standing
from greylag.governance.facts import ANYWHERE, OPERATOR, UNKNOWN, FactBase
from greylag.governance.question import Target

NOT_KNOWN = Standing(
    known=False, own=False, processor=UNKNOWN, legal_entity="", sub_processors=(), places=(UNKNOWN,),
    residency=(UNKNOWN,), reach=(UNKNOWN,), control=(UNKNOWN,), retention_days=None, rows=(),
)  # fmt: skip
_CODE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?")
#: What endpoints say where they do not say a place.
_NO_PLACE = frozenset({"", "unknown", "not_available", "n/a", "none"})
#: How endpoints name a zone, and how the facts do.
_ZONES = {"EU": "EU27"}


class Standings:
    """Looks targets up once each."""

    def __init__(self, facts: FactBase) -> None:
        self.facts = facts
        self._found: dict[Target, Standing] = {}

    def of(self, target: Target) -> Standing:
        """Return the standing of ``target``; `NOT_KNOWN` where no row decides on it."""
        found = self._found.get(target)
        if found is None:
            found = self._found[target] = self._resolved(target)
        return found

    def _resolved(self, target: Target) -> Standing:
        facts = self.facts
        row = facts.target(target.kind, target.name)
        if row is None:
            return NOT_KNOWN
        reach = facts.reach(row)
        processor = facts.processor(row.processor) if row.processor else None
        own = row.processor == ""
        return Standing(
            known=True,
            own=own,
            processor=row.processor or OPERATOR,
            legal_entity=row.contracting_entity or (processor.legal_entity if processor is not None else ""),
            sub_processors=tuple(sorted(row.sub_processors)),
            # An own place whose jurisdiction nobody has said still is a place.
            places=tuple(sorted(reach.names - {UNKNOWN} if own else reach.names)) or (UNKNOWN,),
            residency=tuple(sorted(reach.residency)) or (UNKNOWN,),
            reach=tuple(sorted(reach.everywhere)) or (UNKNOWN,),
            control=tuple(sorted(facts.control(row))) or (UNKNOWN,),
            retention_days=row.retention_days,
            rows=tuple(sorted(each.row for each in facts.rows_behind(row))),
        )

    def jurisdictions(self, place: str, processor: str = "") -> tuple[str, ...]:
        """Return the jurisdictions an observed ``place`` names; none where it names none that can be found.

        A place's row (also as ``PROCESSOR:PLACE``, as vendors' places are named), a zone, or an ISO code.
        """
        if place.lower() in _NO_PLACE:
            return ()
        row = self.facts.place(place) or self.facts.place(f"{processor}:{place}")
        if row is not None:
            return tuple(code for code in row.jurisdictions if code != UNKNOWN)
        code = place.upper()
        zone = self.facts.zone(_ZONES.get(code, code))
        if zone:
            return tuple(sorted(zone))
        if code == "GLOBAL":
            return (ANYWHERE,)
        return (code,) if _CODE.fullmatch(code) else ()
