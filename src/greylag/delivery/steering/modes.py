"""What a follow-up is for, by the sender's own words: to be told now, to wait its turn, or to begin anew with.

Pure. Work is dropped only where the words say so at the beginning of a sentence; where they don't say, nothing is lost.
"""

import re

from greylag.domain.errors import RequestRefused

MODES = ("add", "replace", "queue")

_SEARCHED_CHARACTERS = 4000
#: What people begin a sentence with before they say what they mean.
_FILLERS = (
    r"(?:(?:ah|oh|hm+|ok|okay|well|hey|hi|so|but|and|also|actually|wait|sorry|please|pls|just|hold on|oops|stop"
    r"|on second thoughts?|let'?s|let us|you can|can you|could you|we can|i'd say|@[\w.-]+)[\s,!.:…-]+){0,4}"
)
_START = rf"(?:^|(?<=[.!?;:\n])|(?<=\s[-\u2013\u2014]))[\s>*•-]{{0,8}}{_FILLERS}"
_THING = r"(?:that|this|it|all|everything|them|these|those|the (?:change|idea|plan|last one|rest|whole thing))"
#: "After that" is a time only where something follows that can be done; "after that commit" names a thing.
_TO_DO = (
    r"(?=\s*(?:[,.:;!…-]|$|(?:please|also|can|could|you|we|do|go|add|fix|make|write|update|remove|rename|run|use|change"
    r"|set|build|bump|create|delete|move|try|document|clean|test|drop|replace|ship|release|have|let)\b))"
)
_NO = (
    r"no(?:pe)?(?:\s*[,.:;!…\u2013\u2014]|\s+-)(?!\s*(?:thanks|thank you|worries|problem|rush|hurry|need|all good|keep"
    r"|go on|leave|(?:that|it)(?:'s| is) (?:fine|ok|okay|good|right|all|great)))"
)

_REPLACE = re.compile(
    rf"{_START}(?:"
    rf"(?:scrap|ditch|forget|drop|discard|undo|throw away|throw out|abandon|disregard|ignore) (?:about )?{_THING}\b"
    rf"|(?:scrap|forget|ignore|disregard) what i (?:said|wrote|asked)"
    rf"|(?:start|begin) (?:over|again|afresh|anew|from scratch)\b"
    rf"|never ?mind(?:\s+{_THING})?\s*[,.:;!…\u2013\u2014-]\s*\w"
    rf"|{_NO}\s*\w|instead\b(?!\s+of\b))"
    # "do this instead", but not "use tabs instead of spaces", which only says more exactly what is wanted
    r"|\binstead\s*(?:[.!?…]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_QUEUE = re.compile(
    rf"{_START}(?:"
    r"then\b(?!\s+(?:again\b|why|how|what|it is|it's))"
    rf"|(?:after (?:that|this)|next|later(?: on)?|afterwards?|as a next step|when (?:that|this|it)(?:'s| is) (?:done|in"
    rf"|merged|finished|ready)){_TO_DO}"
    r")"
    r"|\b(?:when|once|after|as soon as|if)\s+you(?:'re| are)?\s+(?:all\s+)?(?:done|finished|finish|ready|through)\b"
    r"|\b(?:when|once|after|as soon as)\s+(?:that|this|it)(?:'s| is| has been)\s+(?:done|finished|in|merged|ready)\b"
    r"|\b(?:afterwards?|later on)\b|(?<!sooner or )\b(?:later|after that|next)\s*(?:[.!?…]|$)",
    re.IGNORECASE | re.MULTILINE,
)


def mode_of(own_words: str, *, at_work: bool) -> str:
    """Return ``replace``, ``queue`` or ``add`` for a follow-up of ``own_words``.

    ``at_work`` says whether an agent works now that can be told; without one, what doesn't replace waits its turn.
    What is said first counts where the words say both.
    """
    text = own_words[:_SEARCHED_CHARACTERS].replace("\u2019", "'").strip()
    replaces, waits = _REPLACE.search(text), _QUEUE.search(text)
    if replaces and (waits is None or replaces.start() <= waits.start()):
        return "replace"
    return "add" if at_work and waits is None else "queue"


def checked_mode(mode: str) -> str:
    """Return ``mode``, which may be empty: the words decide. Raises RequestRefused ``GL-STEER-001`` for any other."""
    if mode and mode not in MODES:
        known = ", ".join(f"`{each}`" for each in MODES)
        raise RequestRefused("GL-STEER-001", f"there is no way to say more that is called {mode[:40]!r}.",
                             f"say one of {known}, or nothing: then the words decide.")  # fmt: skip
    return mode
