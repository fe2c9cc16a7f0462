"""What the messages of a thread offer to the person who looks at it: what can be done now, and what is past."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from greylag.app.web.documents import MessageOut, OfferOut
from greylag.app.web.thread.standing import Rights
from greylag.domain.states import ReleaseStatus, TaskStatus
from greylag.domain.task import Task

#: What has a page of its own to be looked at, and its title there.
KINDS = {
    "diff": "Diff", "report": "Test report", "transcript": "Transcript", "prompt": "Prompt", "evidence": "Evidence",
    "request": "Request",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """Something to do now. Where ``href`` is empty it is done by sending ``name`` = ``value`` to the page ``path``."""

    verb: str
    label: str
    href: str = ""
    path: str = ""
    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Offered:
    """What one message offers now, and the labels of what it offered once."""

    now: tuple[Act, ...] = field(default=())
    past: tuple[str, ...] = field(default=())


def offers_of(messages: Iterable[MessageOut], task: Task, rights: Rights) -> Mapping[int, Offered]:
    """Return by sequence what each message offers to somebody with ``rights``.

    Only the newest message that offers a verb still does; of that, only what the task is at now. What only others may
    do is not shown: the page says elsewhere who may.
    """
    with_offers = [message for message in messages if message.offers and message.kind != "progress"]
    newest = {_group(offer): message.sequence for message in with_offers for offer in message.offers}
    found = {}
    for message in with_offers:
        now: list[Act] = []
        past: list[str] = []
        for offer in message.offers:
            if newest[_group(offer)] != message.sequence or not _possible(offer, task):
                past.append(offer.label)
            elif act := _act(offer, task, rights):
                now.append(act)
        found[message.sequence] = Offered(tuple(now), tuple(past))
    return found


def _group(offer: OfferOut) -> str:
    """Return what a newer offer takes the place of: of the same verb, and of the same content to look at."""
    return f"{offer.verb} {offer.value}" if offer.verb == "see" else offer.verb


def _possible(offer: OfferOut, task: Task) -> bool:
    """Whether the task is where anybody could take up the offer."""
    judge = _POSSIBLE.get(offer.verb)
    return judge is not None and judge(offer, task)


def _reviewed(offer: OfferOut, task: Task) -> bool:
    return task.status is TaskStatus.IN_REVIEW and offer.value in ("", task.subject) and bool(task.subject)


def _runs_there(offer: OfferOut, task: Task) -> bool:
    environment, _, digest = offer.value.partition("/")
    here = [each for each in task.releases if each.environment == environment and each.status is ReleaseStatus.RELEASED]
    return any(not digest or each.digest == digest for each in here)


def _there(offer: OfferOut, task: Task) -> bool:
    there = {
        "diff": task.change, "report": task.run and task.run.report, "prompt": task.run, "build": task.build,
        "transcript": task.run and task.run.transcript, "evidence": task.sealed or task.evidence,
        "request": task.request,
    }  # fmt: skip
    return bool(there.get(offer.value))


_POSSIBLE: Mapping[str, Callable[[OfferOut, Task], bool]] = {
    "approve": _reviewed,
    "reject": _reviewed,
    "answer": lambda offer, task: task.status is TaskStatus.ASKED and offer.value in task.choices,
    "say": lambda offer, task: not task.ended,
    "stop": lambda offer, task: not task.ended and not task.stop_requested_by,
    "status": lambda offer, task: not task.closed,
    "roll_back": _runs_there,
    "see": _there,
    "open": lambda offer, task: True,
}


def _act(offer: OfferOut, task: Task, rights: Rights) -> Act | None:
    """Return how somebody with ``rights`` takes up the offer here, None where they may not or are there already."""
    page = f"/tasks/{task.task_id}"
    allowed = {
        "approve": rights.approve, "reject": rights.reject, "answer": rights.reply, "say": rights.reply,
        "stop": rights.stop, "status": True, "roll_back": rights.roll_back, "see": True,
    }  # fmt: skip
    if not allowed.get(offer.verb, False):
        return None
    match offer.verb:
        case "approve" | "reject":
            return Act(offer.verb, offer.label, "#decide" if offer.verb == "approve" else "#reason")
        case "answer":
            return Act("answer", offer.label, path=f"{page}/reply", name="text", value=offer.value)
        case "say":
            return Act("say", offer.label, "#text")
        case "stop":
            return Act("stop", offer.label, path=f"{page}/stop")
        case "roll_back":
            return Act("roll_back", offer.label, path=f"{page}/roll-back", name="environment", value=offer.value)
        case "status":
            return Act("status", offer.label, f"{page}?doing=1#doing")
    look = f"{page}/see/{offer.value}" if offer.value in KINDS else f"{page}/download/{offer.value}"
    return Act("see", offer.label, look)
