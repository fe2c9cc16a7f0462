"""Homes: what a chat shows a person who opens the app: their tasks, those that wait for them first."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace

from greylag.adapters.chat.port import Home, HomeEntry
from greylag.delivery.answering import waits_for
from greylag.delivery.cell import PLATFORM, digest_of, label_of
from greylag.delivery.conversing.front.house import House
from greylag.delivery.conversing.front.notices import PUBLIC
from greylag.domain.errors import PolicyRefused
from greylag.domain.labels import Label
from greylag.domain.repository import Person
from greylag.domain.stages import Stage
from greylag.domain.task import Task
from greylag.egress.hop import Hop
from greylag.egress.permit import Permit
from greylag.governance.question import Target

_log = logging.getLogger(__name__)
_LOOKED_AT = 200
_SHOWN = 20


class Homes:
    """Makes homes, each decided as a hop: with titles, else without, else not at all."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def home(self, source: str, author: str) -> Home:
        """Return the home of the chat's ``author``; without a permit nothing of it may be shown."""
        return await asyncio.to_thread(self._home, source, author)

    def _home(self, source: str, author: str) -> Home:
        house = self._house
        known = house.store.person(source, author)
        if known is None:
            problem = "I don't know who you are here. Say who you are, then this shows your tasks."
            home = Home(problem=problem, link=house.links.address_for(source, author))
            return self._decided(home, source, PUBLIC) or replace(home, link="")
        person = house.cell.directory.person(known.person)
        shown = self._tasks(person)
        label = PUBLIC.joined(*(label_of(task) for task, _ in shown))
        home = Home(person.name, tuple(self._entry(task, waits) for task, waits in shown))
        found = self._decided(home, source, label, surfaces=("title",), people=(person.name,))
        if found is None:
            less = tuple(replace(each, title=each.task_id) for each in home.entries)
            found = self._decided(Home(person.name, less), source, PUBLIC)
        return found or Home(problem="Nothing of your tasks may be shown here.")

    def _tasks(self, person: Person) -> Sequence[tuple[Task, bool]]:
        """Return the newest tasks that wait for ``person``, then those they asked for; at most `_SHOWN`."""
        found = self._house.cell.events.tasks(limit=_LOOKED_AT)
        here = [(task, waits_for(task, person)) for task in found if task.region == self._house.cell.region]
        waiting = [(task, waits) for task, waits in here if waits]
        others = [(task, waits) for task, waits in here if not waits and task.requester == person.name]
        return [*waiting, *others][:_SHOWN]

    def _entry(self, task: Task, waits: bool) -> HomeEntry:
        status = str(task.status).replace("_", " ")
        return HomeEntry(task.title, status, self._house.pages.task(task.task_id), task.task_id, waits)

    def _decided(
        self, home: Home, source: str, label: Label, *, surfaces: tuple[str, ...] = (), people: tuple[str, ...] = ()
    ) -> Home | None:
        """Return ``home`` with its permit, None where policy lets it through in no form or only in another."""
        cell, content = self._house.cell, words_of(home)
        chat = self._house.chat(source)
        asset = cell.asset("home", label, content, surfaces=surfaces, people=people)
        key = f"home/{source}/{digest_of(content)}/{cell.clock.now().isoformat()}"
        try:
            hop = Hop(Stage.CHAT, PLATFORM, "post", asset, Target("chat", chat.where), key)
            passed = cell.door.send(hop, content)
        except PolicyRefused as error:
            _log.info("a home may not be shown in %s: %s", chat.where, error.decision_id)
            return None
        if passed.content != content:
            return None
        return _permitted(home, passed.permit, digest_of(content))


def words_of(home: Home) -> bytes:
    """Return what a home's permit is for: everything it shows, spelled in one way."""
    shown = {name: value for name, value in asdict(home).items() if name not in ("permit", "digest")}
    return json.dumps(shown, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")


def _permitted(home: Home, permit: Permit, digest: str) -> Home:
    return replace(home, permit=permit, digest=digest)
