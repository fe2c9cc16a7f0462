"""Discharging: doing what a verdict asks for before it may be asked again.

Content is changed by a registered transformation under a key of the task, looked at again, and lowered on record.
People's yes is looked up, never made up. What can't be met is not met in part.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from greylag.adapters.models.port import Restorer
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import Label
from greylag.domain.repository import Repository
from greylag.egress.door import Discharge
from greylag.egress.hop import Hop
from greylag.governance.facts import FactBase
from greylag.governance.labelling import floor_for
from greylag.governance.policy.obligations import Obligation, Step, parse_obligation
from greylag.governance.question import Discharged
from greylag.governance.scanning import Scanner
from greylag.governance.signoff import SignOff, roles_covered
from greylag.governance.transformations import Occasion, PseudonymRestorer, derived_key, discharge, open_mapping

PLATFORM = "platform:greylag"
#: How many tasks' pseudonyms are kept at hand.
_TASKS = 256


class Pseudonyms:
    """What the pseudonyms of tasks stand for, as long as this process lives.

    Every prompt of a run holds the whole conversation so far, so whatever a reply can name was put here by the prompt
    before it. Keys of tasks are derived from the region's ``key``: the same person has other pseudonyms elsewhere.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._known: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def key_of(self, task_id: str) -> bytes:
        """Return the key of a task."""
        return derived_key(self._key, "task", task_id)

    def learn(self, task_id: str, mapping: Mapping[str, str]) -> None:
        """Remember what pseudonyms of a task stand for."""
        with self._lock:
            self._known.setdefault(task_id, {}).update(mapping)
            self._known.move_to_end(task_id)
            while len(self._known) > _TASKS:
                self._known.popitem(last=False)

    def restorer(self, task_id: str, *, in_json: bool) -> Restorer:
        """Return a fresh restorer for the pseudonyms of a task."""
        with self._lock:
            known = dict(self._known.get(task_id, {}))
        return PseudonymRestorer(known, inside_json=in_json)


class Discharger:
    """`greylag.egress.door.Discharger` of one region.

    ``sign_offs`` returns every sign-off that stands, ``repository`` the settings of one, ``link`` the address
    of a task's page in the region.
    """

    def __init__(
        self, scanner: Scanner, facts: Callable[[], FactBase], pseudonyms: Pseudonyms, *,
        sign_offs: Callable[[], Sequence[SignOff]], repository: Callable[[str], Repository],
        link: Callable[[str], str], now: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._scanner = scanner
        self._facts = facts
        self._pseudonyms = pseudonyms
        self._sign_offs = sign_offs
        self._repository = repository
        self._link = link
        self._now = now

    def discharge(self, hop: Hop, content: bytes, obligations: tuple[str, ...]) -> Discharge | None:
        """Return what became of ``content``, None where one of ``obligations`` can't be met."""
        made = Discharge(content, hop.asset.label, Discharged())
        for obligation in _fewest([parse_obligation(text) for text in obligations]):
            step = self._chosen(hop, made, obligation)
            if step is None:
                return None
            made = step
        return made

    def _chosen(self, hop: Hop, made: Discharge, obligation: Obligation) -> Discharge | None:
        tried = (self._done(hop, made, choice) for choice in obligation.choices)
        return next((each for each in tried if each is not None), None)

    def _done(self, hop: Hop, made: Discharge, step: Step) -> Discharge | None:
        if step.name == "approve":
            return self._approved(hop, made, step)
        if step.name in ("pin-geo", "retain"):
            return self._promised(hop, made, step)
        return self._transformed(hop, made, step)

    def _approved(self, hop: Hop, made: Discharge, step: Step) -> Discharge | None:
        now, target = self._now(), hop.target
        found = tuple(
            each for each in self._sign_offs() if each.covers(hop.stage, target.kind, target.name, hop.repository, now)
        )
        # All offices that this flow needs, whichever rule asks for them: one person can't fill two.
        approvals = tuple(sorted({*hop.discharged.approvals, *made.done.approvals, *step.parameters}))
        if not roles_covered(found, approvals):
            return None
        return replace(made, done=replace(made.done, approvals=approvals))

    def _promised(self, hop: Hop, made: Discharge, step: Step) -> Discharge | None:
        """Meet what the facts already promise: a place that is fixed, a retention that is no longer."""
        fact = self._facts().target(hop.target.kind, hop.target.name)
        if fact is None:
            return None
        if step.name == "pin-geo":
            kept = fact.pinned
        else:
            kept = fact.retention_days is not None and fact.retention_days <= int(step.parameters[0])
        return _applied(made, made.content, made.label, str(step), made.done.residual_findings) if kept else None

    def _transformed(self, hop: Hop, made: Discharge, step: Step) -> Discharge | None:
        try:
            result = discharge(str(step), made.content, made.label, self._scanner, self._occasion(hop, made, step))
        except RequestRefused:  # content it can't change safely: then it doesn't go, and the verdict says why
            return None
        if not result.ok:
            return None
        if result.mapping is not None:
            self._pseudonyms.learn(hop.task_id, open_mapping(result.mapping, self._pseudonyms.key_of(hop.task_id)))
        changed = _applied(made, result.content, result.label_after, step.name, result.residual_findings)
        records = (*made.records, *((result.declassification,) if result.declassification is not None else ()))
        return replace(changed, records=records)

    def _occasion(self, hop: Hop, made: Discharge, step: Step) -> Occasion:
        repository = self._repository(hop.repository) if hop.repository else None
        linked = step.name == "link-instead-of-content"
        return Occasion(
            media_type=media_type_of(made.content), task_id=hop.task_id, repository=hop.repository,
            region=hop.asset.origin, by=PLATFORM, facts=self._facts(),
            floor=floor_for(str(step), made.label, repository) if repository is not None else None,
            key=self._pseudonyms.key_of(hop.task_id),
            parameters={"task": hop.task_id, "link": self._link(hop.task_id)} if linked else {},
        )  # fmt: skip


def _fewest(obligations: Sequence[Obligation]) -> list[Obligation]:
    """Return what has to be done: an obligation with a choice is met by what another one leaves no choice about."""
    needed = {str(each.choices[0]) for each in obligations if len(each.choices) == 1}
    return [
        each for each in obligations if len(each.choices) == 1 or not needed & {str(choice) for choice in each.choices}
    ]


def _applied(made: Discharge, content: bytes, label: Label, name: str, residual: int) -> Discharge:
    done = Discharged(tuple(sorted({*made.done.applied, name})), made.done.approvals, residual)
    return Discharge(content, label, done, made.records)


def media_type_of(content: bytes) -> str:
    """Return ``application/json`` or ``text/plain`` by what ``content`` is: nobody's word for it is taken."""
    if content.lstrip()[:1] not in (b"{", b"["):
        return "text/plain"
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return "text/plain"
    return "application/json"
