"""Wishes: what a message asks for, and whether it says enough to begin with. Rules over a person's own words."""

import re
from collections.abc import Sequence

from greylag.delivery.intake import vocabulary as known

_CLAUSE_ENDS = re.compile(r"(?:(?<![.!?:;,)(\]\[])[.!?:;,)(\]\[]++(?=\s|$)|\n|\s-\s|^[\[(]|\s[(\[]|¿|¡)")
_WORDS = re.compile(r"[^\W_][\w'+#@./-]*")
# What follows a repository's name where it says whom the rest is for: "billing: …", "[billing] …", "billing please …".
_CALLED = re.compile(r"\s*([:,)\]]|-\s)?\s+(?=\S)")
_STATUS_WORDS = 14
_STOP_WORDS = 6
_NAME_WORDS = 2


def wish_in(words: str, names: Sequence[str] = ()) -> tuple[str, str]:
    """Return the intent of ``words`` and, for `status`, what it is about; ``names`` are those of the repositories.

    One of fix, feature, release, question, status, stop; `fix` where nothing says otherwise. What is said outright
    ("add …") goes before what is told ("… fails") and that before what is asked ("why …?").
    """
    clauses = [clause for clause in (_head(each, names) for each in _CLAUSE_ENDS.split(words)) if clause]
    whole = _head(words, names)
    if len(whole.split()) <= _STOP_WORDS and known.STOP.fullmatch(whole):
        return "stop", ""
    told = [_told(clause) for clause in clauses]
    if any(wish == "roll back" for wish in told) and not {"fix", "feature"} & set(told):
        return "status", "roll back"
    if len(whole.split()) <= _STATUS_WORDS and any(known.STATUS.match(each) for each in (whole, *clauses)):
        return "status", "abilities" if known.ABILITIES.search(whole) else "live" if known.LIVE.search(whole) else ""
    outright = [wish for wish in told if wish in ("fix", "feature", "release")]
    if outright and ("release" in outright and (set(outright) == {"release"} or known.AS_IT_IS.search(words))):
        return "release", ""
    if outright:
        return next(wish for wish in outright if wish != "release"), ""
    return _untold(words, clauses), ""


def only_assumed(words: str, names: Sequence[str] = ()) -> bool:
    """Return whether no rule knows what ``words`` are for, so that `wish_in` falls back to `fix`."""
    clauses = [clause for clause in (_head(each, names) for each in _CLAUSE_ENDS.split(words)) if clause]
    spoken = any(_told(clause) or known.QUESTION.match(clause) for clause in clauses)
    return not spoken and not known.BUG.search(words) and not known.WISH.search(words)


def says_too_little(words: str, intent: str, names: Sequence[str] = ()) -> bool:
    """Return whether ``words`` name neither a thing nor a behaviour, or a change without what it shall become."""
    if intent in ("stop", "status", "release"):
        return False
    left = _without(words, names)
    if not any(_says_something(word) for word in _WORDS.findall(left.lower())):
        return True
    heads = [_head(clause, names) for clause in _CLAUSE_ENDS.split(words)]
    heads = [head for head in heads if head]
    others = [head for head in heads if not known.NEEDS_NAME.match(head)]
    if len(others) < len(heads):
        return all(len(head.split()) <= _NAME_WORDS for head in others)
    return (
        len(heads) == 1
        and bool(known.NEEDS_VALUE.match(heads[0]))
        and not known.VALUE.search(_without(heads[0], names))
    )


def _says_something(word: str) -> bool:
    word = word.rstrip("./'-")
    return word not in known.FILLERS and len(word) > 1 and not word.startswith("@")


def _told(clause: str) -> str:
    """Return what one clause tells to do outright, "" where it tells nothing."""
    if known.ROLL_BACK.match(clause):
        return "roll back"
    if known.QUESTION.match(clause):
        return "fix" if known.AND_FIX.search(clause) else "asks"
    if known.RELEASE.match(clause):
        return "release"
    if known.FIX.match(clause):
        return "fix"
    if known.FEATURE.match(clause):
        return "feature"
    if last := known.LAST_VERB.search(clause):
        return str(last.lastgroup)
    return "fix" if known.AND_FIX.search(clause) else ""


def _untold(words: str, clauses: Sequence[str]) -> str:
    asks = [bool(known.QUESTION.match(clause)) for clause in clauses]
    stated = " , ".join(clause for clause, asked in zip(clauses, asks, strict=True) if not asked)
    if any(asks) and not known.BUG.search(stated):
        return "feature" if known.WISH.search(stated) else "question"
    if known.BUG.search(words) and not known.CLEAR_WISH.search(words):
        return "fix"
    return "feature" if known.WISH.search(words) else "fix"


def _head(clause: str, names: Sequence[str]) -> str:
    """Return ``clause`` from where it begins to say something."""
    clause = clause.strip(" \t\n-*•>#:,.;'\"")
    while True:
        shorter = clause
        for name in names:
            if shorter.lower().startswith(name.lower()) and (called := _CALLED.match(shorter, len(name))):
                rest = shorter[called.end() :]
                shorter = rest if called[1] or known.LEAD.match(rest) else shorter
        if lead := known.LEAD.match(shorter):
            shorter = shorter[lead.end() :]
        if shorter == clause:
            return clause.strip()
        clause = shorter


def _without(words: str, names: Sequence[str]) -> str:
    for name in names:
        words = re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", " ", words, flags=re.IGNORECASE)
    return words
