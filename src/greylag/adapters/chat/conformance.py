"""What every chat backend keeps, tried on a scratch thread."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from greylag.adapters.chat.port import Said, Thread
from greylag.domain.errors import GreylagError
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_BODY = Reference("local", f"sha256:{'a' * 64}", 5, "message", "text/plain")

Permits = Callable[[Stage, str, str], Permit]


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise and whether it was kept; ``detail`` says what was seen instead."""

    promise: str
    kept: bool
    detail: str = ""


def check_thread(
    chat: Thread, permits: Permits, count: Callable[[TaskId], int], task_id: TaskId
) -> tuple[Finding, ...]:
    """Say things in the thread of ``task_id`` and return the findings; ``count`` says how many messages are there."""
    said = Said(task_id, "text", "hello", _BODY, "conformance/1")
    before = count(task_id)
    findings = [Finding("needs its own permit", *_refused(chat, permits(Stage.PUSH, chat.where, _BODY.digest), said))]
    elsewhere = permits(Stage.CHAT, f"{chat.where}-elsewhere", _BODY.digest)
    findings.append(Finding("refuses a permit for elsewhere", *_refused(chat, elsewhere, said)))
    other = permits(Stage.CHAT, chat.where, f"sha256:{'b' * 64}")
    findings.append(Finding("refuses a permit for other words", *_refused(chat, other, said)))
    findings.append(_counted("says nothing it refused", count(task_id) - before, 0))
    for _ in range(3):
        chat.say(permits(Stage.CHAT, chat.where, _BODY.digest), said, _AT)
    findings.append(_counted("says the same thing once", count(task_id) - before, 1))
    chat.say(permits(Stage.CHAT, chat.where, _BODY.digest), replace(said, key="conformance/2"), _AT)
    findings.append(_counted("says the next thing too", count(task_id) - before, 2))
    return tuple(findings)


def _refused(chat: Thread, permit: Permit, said: Said) -> tuple[bool, str]:
    try:
        chat.say(permit, said, _AT)
    except GreylagError as error:
        return error.code == "GL-EGRESS-001", str(error)
    return False, "it was said"


def _counted(promise: str, seen: int, expected: int) -> Finding:
    return Finding(promise, seen == expected, f"got/expected: {seen}/{expected} messages")
