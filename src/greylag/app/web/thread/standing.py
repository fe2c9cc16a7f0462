"""Where a task stands for the person who looks at it: what it waits for, who must act, and what they may do."""

from collections.abc import Sequence
from dataclasses import dataclass

from greylag.domain.repository import Person
from greylag.domain.states import TaskStatus
from greylag.domain.task import Task

_S = TaskStatus
_MARKS = {
    _S.ASKED: "?", _S.HANDED_OVER: "!", _S.IN_REVIEW: "▣", _S.MERGED: "✓", _S.RELEASED: "✓", _S.APPROVED: "✓",
    _S.ROLLED_BACK: "↺", _S.REJECTED: "✗", _S.REFUSED: "✗", _S.FAILED: "✗", _S.CANCELLED: "■", _S.EXPIRED: "■",
}  # fmt: skip
_BUSY = {
    _S.RECEIVED: "Just received; it begins in a moment.",
    _S.ACCEPTED: "Accepted; a place to run is being chosen.",
    _S.PLACED: "A place is found; the agent begins in a moment.",
    _S.WORKING: "The agent is at work. There is nothing to do.",
    _S.VERIFIED: "The checks passed; the build is being made.",
    _S.APPROVED: "Approved; it is being merged.",
    _S.RELEASING: "Merged; it is being released.",
}
_GOOD = {_S.MERGED: "Merged.", _S.RELEASED: "Released.", _S.ANSWERED: "Answered."}
_BAD = {
    _S.ROLLED_BACK: "Rolled back", _S.REJECTED: "Rejected", _S.REFUSED: "Refused", _S.CANCELLED: "Stopped",
    _S.EXPIRED: "Expired", _S.FAILED: "Failed",
}  # fmt: skip
_UNDER_WAY = (_S.ACCEPTED, _S.PLACED, _S.WORKING, _S.VERIFIED)
_PAST_TALKING = (_S.APPROVED, _S.RELEASING)
_OUTCOME_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Rights:
    """What a person may do with a task now. ``obstacle`` says why they can't approve what is up for review.

    ``steer``: what they say can reach the agent at its work, so they choose what it is for.
    """

    reply: bool
    stop: bool
    approve: bool
    reject: bool
    obstacle: str = ""
    steer: bool = False
    roll_back: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A task's state in words. ``tone`` ∈ busy, you, wait, good, bad; ``goto`` is where the viewer acts."""

    mark: str
    word: str
    words: str
    tone: str
    goto: str = ""
    goto_words: str = ""


def rights_of(task: Task, person: Person) -> Rights:
    """Return what ``person`` may do; the desk decides again, this only keeps useless buttons away."""
    open_to_talk = not task.ended and task.status not in _PAST_TALKING and not task.stop_requested_by
    asks = "requester" in person.roles
    reviews = "reviewer" in person.roles and task.status is _S.IN_REVIEW
    obstacle = _obstacle(task, person) if task.status is _S.IN_REVIEW else ""
    reply = asks and open_to_talk and (task.intent != "release" or task.status is _S.ASKED)
    return Rights(
        reply=reply,
        stop=asks and open_to_talk,
        approve=reviews and not obstacle,
        reject=reviews,
        obstacle=obstacle,
        steer=reply and task.status in _UNDER_WAY and not task.taken_over_by,
        roll_back=bool({"reviewer", "operator"} & set(person.roles)),
    )


def _obstacle(task: Task, person: Person) -> str:
    if person.name == task.requester:
        return "You asked for this, so somebody else approves it."
    if person.name in task.involved:
        return "You steered this, so somebody else approves it."
    if "reviewer" not in person.roles:
        has = ", ".join(person.roles) or "none"
        return (
            f"Approving needs the role reviewer (you have: {has})."
            f" An operator grants it: greylag person add {person.name} --role reviewer"
        )
    if task.unread_follow_ups or not task.subject:
        return "A follow-up is still to be worked in; a new change comes up for review then."
    return ""


def reviewers_of(task: Task, people: Sequence[Person]) -> list[str]:
    """Return who can approve: reviewers who neither asked for the task nor steered it."""
    return [each.name for each in people if "reviewer" in each.roles and each.name not in task.involved]


def standing_of(task: Task, person: Person, people: Sequence[Person]) -> Standing:
    """Return where ``task`` stands for ``person``, who is one of ``people``."""
    word = str(task.status).replace("_", " ")
    mark = _MARKS.get(task.status, "●")
    if task.stop_requested_by and not task.ended:
        return Standing("■", word, f"Stopping, as {task.stop_requested_by} asked.", "busy")
    if task.taken_over_by and not task.ended:
        return _by_hand(task, person)
    if task.status is _S.IN_REVIEW:
        return _in_review(task, person, people, mark, word)
    if task.status is _S.ASKED:
        return _to_answer(task, person, f"an answer: {task.question}", "Answer")
    if task.status is _S.HANDED_OVER and task.unread_follow_ups:
        return Standing("●", word, "A follow-up is there; the agent goes on in a moment.", "busy")
    if task.status is _S.HANDED_OVER:
        return _to_answer(task, person, f"a person: {_short(task.outcome)}", "Say how to go on")
    if task.status in _GOOD:
        return Standing(mark, word, _where_it_runs(task), "good")
    if task.status in _BAD:
        why = f": {_short(task.outcome)}" if task.outcome.lower() not in ("", _BAD[task.status].lower()) else "."
        then = f" Next: {task.remedy}" if task.remedy else ""
        return Standing(mark, word, f"{_BAD[task.status]}{why}{then}", "bad")
    return Standing(mark, word, _BUSY[task.status], "busy")


def _in_review(task: Task, person: Person, people: Sequence[Person], mark: str, word: str) -> Standing:
    rights = rights_of(task, person)
    if rights.approve:
        words = "It waits for you: look at the change, then approve or reject it."
        return Standing(mark, word, words, "you", "decide", "Go to the decision")
    if task.unread_follow_ups:
        return Standing(mark, word, "A follow-up is there; the agent goes on in a moment.", "busy")
    able = reviewers_of(task, people)
    if able:
        return Standing(mark, word, f"It waits for a reviewer: {', '.join(able[:5])}.", "wait")
    words = "Nobody can approve it yet. An operator adds somebody: greylag person add NAME --role reviewer"
    return Standing(mark, word, words, "wait")


def _by_hand(task: Task, person: Person) -> Standing:
    """Say who works on it on a machine of their own, and how it comes back."""
    word = str(task.status).replace("_", " ")
    if person.name == task.taken_over_by:
        words = f"You work on it by hand. Give it back with: greylag task handback {task.task_id}"
        return Standing("●", word, words, "you")
    return Standing("●", word, f"{task.taken_over_by} works on it by hand; it goes on when it is given back.", "wait")


def _to_answer(task: Task, person: Person, what: str, goto_words: str) -> Standing:
    """Say who asked that it waits for them; whoever may ask can answer in their place."""
    mark, word, words = _MARKS[task.status], str(task.status).replace("_", " "), f"It waits for {what}"
    tone = "you" if person.name in task.involved else "wait"
    if "requester" in person.roles:
        return Standing(mark, word, words, tone, "say", goto_words)
    return Standing(mark, word, words, "wait")


def _where_it_runs(task: Task) -> str:
    places = [each.environment for each in task.releases if str(each.status) == "released"]
    return f"{_GOOD[task.status]} It runs in {', '.join(dict.fromkeys(places))}." if places else _GOOD[task.status]


def _short(text: str) -> str:
    line = next((line for line in text.splitlines() if line.strip()), "no reason was given")
    return line if len(line) <= _OUTCOME_CHARACTERS else line[: _OUTCOME_CHARACTERS - 1] + "…"
