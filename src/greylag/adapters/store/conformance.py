"""What every store must do. Tests run these checks on each backend; `greylag doctor` runs them on a scratch database.

Never on a live one: the log is append-only, so what these checks write stays for ever.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from greylag.adapters.store.port import (
    ChatPerson,
    ChatStore,
    Deployment,
    DeploymentStore,
    Directory,
    EventStore,
    LedgerStore,
    Spoken,
    ThreadStore,
)
from greylag.domain.conversation import Conversation, Offer
from greylag.domain.errors import GreylagError, IntegrityError
from greylag.domain.events import QuestionAsked, StopRequested, TaskReceived, TaskReleased
from greylag.domain.ids import TaskId, derived_id
from greylag.domain.references import Reference
from greylag.domain.repository import Person, Repository
from greylag.domain.states import TaskStatus
from greylag.governance.signoff import SignOff

Check = tuple[str, Callable[[], None]]

_AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
_BODY = Reference("conformance", f"sha256:{'0' * 64}", 1, "text", "text/plain")
_OFFERS = (Offer("approve", "Approve", "sha256:1"), Offer("say", "“more” <b>&"))
_RECEIVED = TaskReceived("console", "ada", _BODY, "Größe ≠ 大小 🪿", "conformance", repository="conformance")


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores under check: all of one scratch installation."""

    events: EventStore
    threads: ThreadStore
    directory: Directory
    deployments: DeploymentStore
    ledger: LedgerStore
    chats: ChatStore


def checks(stores: Stores) -> list[Check]:
    """Return the checks by name, in any order. Each raises IntegrityError ``GL-STORE-009`` if it is not met."""
    return [
        ("an event is recorded once and read back", lambda: _events_once(stores.events)),
        ("an event that the task's status forbids leaves no trace", lambda: _forbidden_event(stores.events)),
        ("text no database can hold is refused whole", lambda: _hostile_text(stores.events)),
        ("a task is found by its beginning, and rebuilt the same", lambda: _projection(stores.events)),
        ("a thread keeps each thing once, in order", lambda: _thread(stores.threads)),
        ("people are known by their token alone", lambda: _people(stores.directory)),
        ("repositories come back as they were set", lambda: _repositories(stores.directory)),
        ("sign-offs come back as they were given", lambda: _sign_offs(stores.directory)),
        ("the newest deployment is what is live", lambda: _deployments(stores.deployments)),
        ("the ledger appends once per key and body", lambda: _ledger(stores.ledger)),
        ("what a chat says is taken once, in line", lambda: _inbox(stores.chats)),
        ("a message's way to a chat is on record before and after", lambda: _outbox(stores.chats, stores.threads)),
    ]


def _task_id(name: str) -> TaskId:
    return TaskId(derived_id("task", "conformance", name))


def _events_once(events: EventStore) -> None:
    task_id = _task_id("once")
    first = events.append(task_id, _RECEIVED, key="begin", at=_AT)
    again = events.append(task_id, StopRequested("bo", "later"), key="begin", at=_AT)
    _require(first == again, "the same key recorded something else")
    second = events.append(task_id, QuestionAsked("which?", ("a", "b")), key="ask", at=_AT)
    _require(events.read(task_id) == (first, second), "other events came back")
    _require(events.read(task_id, after=1) == (second,), "`after` was not heeded")
    task = events.task(task_id)
    _require((task.status, task.sequence, task.title) == (TaskStatus.ASKED, 2, _RECEIVED.title), "wrong projection")


def _forbidden_event(events: EventStore) -> None:
    task_id = _task_id("forbidden")
    _refuses("GL-TASK-001", lambda: events.append(task_id, TaskReleased("sha256:x"), key="x", at=_AT))
    events.append(task_id, _RECEIVED, key="begin", at=_AT)
    _refuses("GL-STATE-001", lambda: events.append(task_id, TaskReleased("sha256:x"), key="x", at=_AT))
    _require(len(events.read(task_id)) == 1, "a refused event was kept")
    _refuses("GL-TASK-001", lambda: events.task(_task_id("never begun")))


def _hostile_text(events: EventStore) -> None:
    task_id = _task_id("hostile")
    events.append(task_id, _RECEIVED, key="begin", at=_AT)
    for text in ("a\x00b", "a\ud800b", "x" * 2_000_000):
        event = StopRequested("bo", text)
        _refuses("GL-STORE-002", partial(events.append, task_id, event, key="stop", at=_AT))
    for key in ("", "a\x00b", "a\ud800b", "x" * 2_000):
        _refuses("GL-STORE-002", partial(events.append, task_id, StopRequested("bo", "x"), key=key, at=_AT))
    _require(len(events.read(task_id)) == 1, "refused text was kept")


def _projection(events: EventStore) -> None:
    task_id = _task_id("projection")
    events.append(task_id, _RECEIVED, key="begin", at=_AT)
    before = events.task(task_id)
    _require(events.find(task_id[:17]).task_id == task_id, "it was not found by its beginning")
    _require(task_id in {task.task_id for task in events.tasks(statuses=[TaskStatus.RECEIVED], limit=500)}, "unlisted")
    _require(events.tasks(statuses=[]) == (), "no status is not every status")
    events.rebuild()
    _require(events.task(task_id) == before, "rebuilding changed it")


def _thread(threads: ThreadStore) -> None:
    task_id = _task_id("thread")

    def say(key: str) -> int:
        spoken = Spoken("ada", "text", key, _OFFERS)
        return threads.say(task_id, spoken, body=_BODY, decision_id="dec_1", at=_AT).sequence

    _require([say("a"), say("b"), say("a")] == [1, 2, 1], "a key was said twice")
    _require([message.key for message in threads.messages(task_id)] == ["a", "b"], "other messages came back")
    _require([message.key for message in threads.messages(task_id, after=1)] == ["b"], "`after` was not heeded")
    _require({message.offers for message in threads.messages(task_id)} == {_OFFERS}, "other offers came back")


def _people(directory: Directory) -> None:
    ada = Person("conformance-ada", ("requester", "reviewer"))
    directory.add_person(ada, "conformance-token-1")
    directory.add_person(ada, "conformance-token-2")
    _require(directory.person_by_token("conformance-token-2") == ada, "her token was not known")
    _require(directory.person_by_token("conformance-token-1") is None, "a replaced token still opens")
    _require(directory.person_by_token("") is None, "no token opens")
    _refuses("GL-PERSON-001", lambda: directory.person("conformance-nobody"))


def _sign_offs(directory: Directory) -> None:
    given = SignOff(
        "sgn_conformance", "dpo", "conformance-ada", "endpoint", "far", "*", "prompt", "a check", _AT,
        _AT + timedelta(days=1),
    )  # fmt: skip
    directory.add_sign_off(given)
    directory.add_sign_off(given)
    _require([each for each in directory.sign_offs() if each.sign_off_id == given.sign_off_id] == [given], "not so")
    directory.remove_sign_off(given.sign_off_id)
    directory.remove_sign_off(given.sign_off_id)
    _require(given not in directory.sign_offs(), "a sign-off that was taken back still stands")


def _repositories(directory: Directory) -> None:
    for branch in ("main", "trunk"):
        wanted = Repository("conformance-player", "conformance", default_branch=branch, verify=(("pytest", "-q"),))
        directory.add_repository(wanted, _AT)
        _require(directory.repository(wanted.name) == wanted, "other settings came back")
    _refuses("GL-REPO-001", lambda: directory.repository("conformance-playe"))


def _deployments(deployments: DeploymentStore) -> None:
    def record(name: str, key: str) -> None:
        deployments.record_deployment(
            Deployment("conformance", "canary", f"sha256:{name}", _BODY, name, "task_1", _AT), key=key
        )

    for name, key in (("one", "a"), ("two", "b"), ("three", "a")):
        record(name, key)
    live = deployments.live("conformance", "canary")
    _require(live is not None and live.name == "two", "something else is live")
    _require([found.name for found in deployments.deployments("conformance")] == ["two", "one"], "wrong history")
    _require(deployments.live("conformance", "production") is None, "another environment is live")


def _ledger(ledger: LedgerStore) -> None:
    start = ledger.size()
    first = ledger.append({"kind": "conformance", "number": 1}, key="conformance")
    again = ledger.append({"number": 1, "kind": "conformance"}, key="conformance")
    other = ledger.append({"kind": "conformance", "number": 2}, key="conformance")
    _require((first, again, other) == (start, start, start + 1), "an entry was lost or doubled")
    bodies = [entry.body for entry in ledger.entries(start)]
    _require(b'"attempt":1' in bodies[0] and b'"attempt":2' in bodies[1], "attempts are not told apart")
    _refuses("GL-LEDGER-001", lambda: ledger.append({"share": 0.5}, key="float"))
    _require(ledger.size() == start + 2, "a refused entry was kept")


def _inbox(chats: ChatStore) -> None:
    where = Conversation("conformance", "room")
    taken = [chats.arrive(where, event_id, "{}", None, _AT) for event_id in ("a", "b", "a")]
    first, second = taken[0], taken[1]
    _require(first is not None and second is not None and taken[2] is None, "an event was lost or doubled")
    if first is not None and second is not None:
        _require(first.number < second.number, "the order was lost")
        _require([each for each in chats.waiting() if each.conversation == where] == [first, second], "others wait")
        chats.settle(first.number, "handled")
        _require(chats.arrive(where, "a", "{}", None, _AT) is None, "what was handled was taken again")
    _refuses("GL-STORE-002", lambda: chats.arrive(where, "a\x00b", "{}", None, _AT))
    chats.add_person(ChatPerson("conformance", "U1", "conformance-ada", "link", _AT))
    _require(chats.person("conformance", "U2") is None, "somebody unknown is somebody")
    chats.remove_person("conformance", "U1")
    _require(chats.person("conformance", "U1") is None, "somebody who was taken away is still known")
    chats.put_note("conformance", "since", "s1")
    _require(chats.note("conformance", "since") == "s1", "a note was lost")


def _outbox(chats: ChatStore, threads: ThreadStore) -> None:
    where, task_id = Conversation("conformance", "room", "thread"), _task_id("outbox")
    threads.say(task_id, Spoken("greylag", "text", "a"), body=_BODY, decision_id="dec_1", at=_AT)
    chats.bind(where, task_id, _AT)
    _require(chats.task_in(where) == task_id, "another task is talked about")
    _require([each.task_id for each in chats.due((where.source,))] == [task_id], "what was said is not due")
    _require(chats.sending(where, task_id, 1, "dec_1", _AT) is None, "it was sent before it was begun")
    begun = chats.sending(where, task_id, 1, "dec_2", _AT)
    _require(begun is not None and begun.state == "sending", "what was begun was forgotten")
    chats.sent(where, task_id, 1, "sent", "handle", _AT)
    _require(chats.due((where.source,)) == (), "what was delivered is due again")
    found = chats.posted_as(where.source, where.room, "handle")
    _require(found is not None and (found.state, found.sequence) == ("sent", 1), "what was sent is not known")


def _refuses(code: str, work: Callable[[], object]) -> None:
    try:
        work()
    except GreylagError as error:
        _require(error.code == code, f"expected `{code}`, got `{error.code}` ({error.message})")
        return
    _require(False, f"expected `{code}`, but it was done")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise IntegrityError(
            "GL-STORE-009",
            f"this store does not keep what it promises: {otherwise}.",
            "don't use this database; report it with the name of the check.",
        )
