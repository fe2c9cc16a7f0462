"""What every chat keeps, tried on a thread that may be filled: the promises of `greylag.adapters.chat.port`.

`check_chat` tries a backend with a person on the other side; `check_saying` tries as much as can be seen by looking on;
`check_room` tries a real chat with few words; `check_thread` tries the platform's own thread.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from greylag.adapters.chat import hearing, saying
from greylag.adapters.chat.counterpart import Counterpart, Finding, Onlooker, Opening, Permits, Trial
from greylag.adapters.chat.port import Said, Thread
from greylag.domain.errors import GreylagError
from greylag.domain.ids import TaskId
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_BODY = Reference("local", f"sha256:{'a' * 64}", 5, "message", "text/plain")
__all__ = [
    "Counterpart",
    "Finding",
    "Onlooker",
    "Opening",
    "Permits",
    "check_chat",
    "check_room",
    "check_saying",
    "check_thread",
]


async def check_chat(open_chat: Opening, person: Counterpart, permits: Permits) -> tuple[Finding, ...]:
    """Try every promise on the thread of ``person``, and return the findings; the chat is closed at the end.

    ``open_chat`` opens the backend as another process would: upon what the last one kept, and nothing else. The thread
    belongs to the checks: some sixty messages are said there, hostile ones among them.
    """
    trial = Trial(open_chat, person, permits, await open_chat())
    try:
        listening = await hearing.check_hearing(trial, person)
        await hearing.check_clicks(listening)
        await hearing.check_marks(listening)
        await hearing.check_history(listening)
        listening = await hearing.check_delivery(listening)
        await hearing.check_encryption(trial, person)
        await listening.end()
        trial.chat = await open_chat()
        await _check_saying(trial)
    finally:
        await trial.chat.close()
    return tuple(trial.findings)


async def check_saying(open_chat: Opening, onlooker: Onlooker, permits: Permits) -> tuple[Finding, ...]:
    """Try what needs nobody on the other side: what is said, and how it then stands there. See `check_chat`."""
    trial = Trial(open_chat, onlooker, permits, await open_chat())
    try:
        await _check_saying(trial)
    finally:
        await trial.chat.close()
    return tuple(trial.findings)


async def check_room(open_chat: Opening, onlooker: Onlooker, permits: Permits) -> tuple[Finding, ...]:
    """Try with a dozen short messages, in a thread where people may read them, that things are said once and by permit.

    What stands there is seen by the chat's own history; nothing hostile is said, and nobody is called.
    """
    trial = Trial(open_chat, onlooker, permits, await open_chat())
    try:
        saying.check_declared(trial)
        await saying.check_permits(trial)
        await saying.check_once(trial)
    finally:
        await trial.chat.close()
    return tuple(trial.findings)


async def _check_saying(trial: Trial) -> None:
    saying.check_declared(trial)
    for check in (
        saying.check_permits, saying.check_once, saying.check_order, saying.check_progress, saying.check_controls,
        saying.check_hostile, saying.check_length, saying.check_files,
    ):  # fmt: skip
        await check(trial)


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
