"""Reading a request: what is wanted, where, and what must be asked before anybody begins."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from greylag.delivery.intake.places import Known, find_place, names_in
from greylag.delivery.intake.trust import own_words, parts
from greylag.delivery.intake.vocabulary import CAMPAIGN
from greylag.delivery.intake.wishes import only_assumed, says_too_little, wish_in

#: What a request can be for. Rolling back changes what is live without a task: it is told how, so it is ``status``.
INTENTS = ("fix", "feature", "release", "question", "campaign", "status", "stop")
#: These need no repository and nothing to be asked.
_READ_CHARACTERS = 16_000
# Whom the message is for, or who else shall see it; in Matrix with the name of a server.
_MENTION = re.compile(r"(?<![\w.])@[\w.=/+-]+(?::[\w.-]+)?")
_ANSWERED_AT_ONCE = ("campaign", "status", "stop")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a request was read. ``intent`` ∈ `INTENTS`; ``repository`` is None where the words don't say it.

    ``candidates`` are all repositories, the likeliest first. ``missing`` is what must be asked now: ``wording``,
    ``repository`` or nothing (the answer to the first often says the other). ``about`` says what a ``status`` is asked
    of: ``live``, ``roll back``, ``abilities``, or empty for work under way. ``several`` names the repositories of a
    campaign. ``reasons`` say why, in words. ``assumed``: nothing said the intent, it is what most requests are for.
    """

    intent: str
    repository: str | None
    candidates: tuple[str, ...]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]
    about: str = ""
    several: tuple[str, ...] = ()
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """A request as it is read: the requester's ``own`` words, single words that stood as code, what came with it.

    ``earlier`` are the requester's own words in the same thread before: they may say where, never what.
    ``supplied``: there is something beside the own words that can say what is meant: a quote, code, a file, the thread.
    """

    own: str
    in_code: tuple[str, ...] = ()
    supplied: bool = False
    earlier: str = ""


def said_in(text: str, answers: Sequence[str] = (), *, earlier: Sequence[str] = (), supplied: bool = False) -> Said:
    """Take apart ``text`` and the requester's own ``answers``; ``supplied`` says that files or a thread came with it.

    A link supplies nothing: nobody here opens it.
    """
    found = [part for each in (text, *answers) for part in parts(each)]
    own = _own((text, *answers))
    in_code = tuple(part.text.strip("`") for part in found if part.trust == "code" and part.text.count("`") == 2)
    data = {part.trust for part in found if part.trust != "link"} - {"own"}
    shown = bool(own) and bool(data)
    words = tuple(word for word in in_code if not word.split()[1:])
    return Said(own, words, supplied or shown or "code" in data, _own(earlier))


def read(said: Said, repositories: Sequence[Known], *, repository: str | None = None) -> Reading:
    """Read a request over ``repositories``; ``repository`` is the one that was chosen already, if any. Never raises.

    Only ``said.own`` and single words in code choose; nothing that was quoted, forwarded, attached or linked does.
    """
    names = [each.name for each in repositories]
    intent, about = wish_in(said.own, names)
    place = find_place(said.own, repositories, said.in_code)
    if place.name is None and not place.several and said.earlier:
        before = find_place(said.earlier, repositories)
        place = before if before.name in place.likely or not place.likely else place
    several = place.several if repository is None else ()
    changes = intent in ("fix", "feature", "release") and len(names) > 1 and repository is None
    if changes and (several or CAMPAIGN.search(said.own)):
        reason = "it is about several repositories"
        return Reading("campaign", None, place.order, (), (reason,), "", several or tuple(names))
    found = repository or place.name
    reasons = ["the repository was chosen" if repository else place.reason]
    if intent in _ANSWERED_AT_ONCE:
        named = found if repository or found in names_in(said.own, names) or len(names) == 1 else None
        return Reading(intent, named, place.order, (), tuple(reasons), about)
    missing: tuple[str, ...] = ()
    if not said.supplied and says_too_little(said.own, intent, names):
        missing = ("wording",)
        reasons.append("it names neither a thing nor what it should do")
    elif found is None:
        missing = ("repository",)
    assumed = intent == "fix" and only_assumed(said.own, names)
    return Reading(intent, found, place.order, missing, tuple(reasons), about, assumed=assumed)


def _own(texts: Sequence[str]) -> str:
    words = "\n".join(filter(None, (own_words(each) for each in texts)))
    return _MENTION.sub(" ", words)[:_READ_CHARACTERS]
