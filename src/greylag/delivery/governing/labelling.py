"""Labels at work: the operator's word about a repository, and a look at content, by the facts of the day."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from greylag.adapters.models.port import Restorer
from greylag.delivery.governing.discharging import Pseudonyms, media_type_of
from greylag.domain.labels import Label
from greylag.domain.repository import Repository
from greylag.governance.facts import UNKNOWN, FactBase
from greylag.governance.labelling import label_from, with_regimes
from greylag.governance.scanning import Scanner, label_of_findings
from greylag.governance.subjects import mark_of, marks

#: How much of content is looked at to tell text from other bytes; as git does.
_LOOKED_AT = 8000


class Labels:
    """`greylag.delivery.cell.Labeller` and the gateway's `Sight`, over one scanner and whatever facts hold today.

    ``home`` is the region of the install: where an operator has not said where a repository's data comes from, it
    counts as coming from there, and from nowhere known where that is unknown too. ``key`` marks people.
    """

    def __init__(
        self, scanner: Scanner, facts: Callable[[], FactBase], home: str, key: bytes, pseudonyms: Pseudonyms
    ) -> None:
        self._scanner = scanner
        self._facts = facts
        self._home = home
        self._key = key
        self._pseudonyms = pseudonyms

    def of_repository(self, repository: Repository, paths: Sequence[str] = ()) -> Label:
        """Return the label of a repository in which the files ``paths`` lie, with its regimes."""
        facts = self._facts()
        if not repository.origins:
            repository = replace(repository, origins=self._home_origins(facts))
        return label_from(repository, facts, paths=paths)

    def of_content(self, content: bytes, base: Label) -> Label:
        """Return ``base`` joined with what is found in ``content``.

        Bytes that are no text (a build) are not looked into: what they are made of was.
        """
        return self.look(content, base)[0]

    def look(self, content: bytes, base: Label, people: Sequence[str] = ()) -> tuple[Label, tuple[str, ...]]:
        """Return what `of_content` does, and keyed marks of ``people`` and of those whom ``content`` names."""
        known = {mark_of(each, self._key) for each in people}
        if _is_binary(content):
            return self._with_regimes(base.because("binary")), tuple(sorted(known))
        found = self._scanner.scan_content(content, media_type_of(content))
        label = self._with_regimes(base.joined(label_of_findings(found)))
        return label, tuple(sorted({*marks(found, self._key), *known}))

    def of_prompt(self, body: bytes, base: Label) -> tuple[Label, tuple[str, ...]]:
        """Return ``base`` joined with what is found in a request's body, and marks of the people it names."""
        found = self._scanner.scan_json(body)
        return self._with_regimes(base.joined(label_of_findings(found))), marks(found, self._key)

    def restorer(self, task_id: str, *, in_json: bool) -> Restorer:
        """Return a fresh restorer for the pseudonyms of a task."""
        return self._pseudonyms.restorer(task_id, in_json=in_json)

    def _with_regimes(self, label: Label) -> Label:
        facts = self._facts()
        if not label.origins:
            label = label.joined(Label("public", origins=self._home_origins(facts)))
        return with_regimes(label, facts)

    def _home_origins(self, facts: FactBase) -> tuple[str, ...]:
        place = facts.place(self._home)
        return tuple(sorted(place.jurisdictions)) if place is not None and place.jurisdictions else (UNKNOWN,)


def _is_binary(content: bytes) -> bool:
    return b"\0" in content[:_LOOKED_AT] and not content.startswith((b"\xff\xfe", b"\xfe\xff"))
