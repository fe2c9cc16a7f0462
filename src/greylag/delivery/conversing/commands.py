"""What a person's own words ask for besides being a request or a reply. Pure, and rather blind than wrong.

A command is the whole message, with politeness before and after it; a sentence that only holds the word is none. So
``approve``, ``lgtm, approve it`` and ``please stop`` are commands; ``don't approve``, ``should I approve?`` and ``stop
the button from firing twice`` are not. Only ``reject`` takes words of its own: ``reject: the test is gone``.
"""

import re
import unicodedata
from dataclasses import dataclass

#: The most characters in which a command is looked for; longer messages are never commands, but for a rejection.
LONGEST_CHARACTERS = 200
#: How many characters of a digest name what was seen.
DIGEST_CHARACTERS = 12
_READ_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Command:
    """What is asked for. ``verb`` ∈ approve, reject, stop, status, live, ship, roll_back.

    ``reason`` belongs to a rejection, ``environment`` to a way back, ``digest`` (lower-case hexadecimal, the beginning
    of what was seen) to an approval or a way back. ``sure`` is False where the words may as well be a wish for the
    change (``reject invalid addresses``): then it is asked again, and nothing is done.
    """

    verb: str
    reason: str = ""
    environment: str = ""
    digest: str = ""
    sure: bool = True


_FIRST = (
    r"(?:please|pls|ok|okay|yes|yep|yeah|hey|hi|hello|thanks|thank you|great|perfect|nice|good|cool|lgtm|alright|right"
    r"|looks good(?: to me)?|all good|good job|well done|then|so|and|now|let'?s|i hereby|just)"
)
_POLITE = re.compile(rf"(?:{_FIRST}\b[\s,;:!.…-]*)+")
_NAME = re.compile(r"@?greylag\b[\s,:!-]*")
_LAST = re.compile(
    r"[\s,;]*(?:(?:please|pls|thanks|thank you|thx|now|right now|at once|immediately|already|then|for me|greylag)"
    r"[\s,;!.…]*)+$"
)
_IT = r"(?: (?:it|this|that|this one|that one|the change|the changes|this change|the build|this build))?"
_HEX = rf"[0-9a-f]{{{DIGEST_CHARACTERS},64}}"
#: An environment's name, and then maybe the digest that is to go, as a button's value has it or typed after it.
_PLACE = (
    r"(?!(?:it|this|that|the|to|a|my|out)\b)(?P<environment>[a-z][a-z0-9-]{0,40})"
    rf"(?:(?: |/)(?:sha256:)?(?P<digest>{_HEX}))?"
)
_WHERE = r"(?: (?:in|on|from))?"
_ACTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("approve", re.compile(rf"(?:i )?approved?{_IT}(?: (?:sha256:)?(?P<digest>{_HEX}))?")),
    (
        "stop",
        re.compile(
            r"(?:stop|cancel|abort|halt)(?: (?:it|this|that|the task|this task|the run|this run|work|working"
            r"|(?:work|working) on (?:it|this|that)|here|everything))?"
        ),
    ),
    ("ship", re.compile(rf"(?:ship|release|deploy|roll out){_IT}(?: out)?|(?:roll|ship) (?:it|this|that) out")),
    ("roll_back", re.compile(rf"(?:roll(?: (?:it|this|that))? ?back|rollback)(?:{_WHERE} {_PLACE})?")),
    ("roll_back", re.compile(rf"roll {_PLACE} back")),
)
_THIS = r"(?: (?:on|with|of|for|about) (?:it|this|that|this task|the task))?"
_WHAT = r"(?:what is|what's|whats)"
_STAND = r"(?:status|state|progress)"
_ASKS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "status",
        re.compile(
            rf"(?:the )?{_STAND}{_THIS}|{_WHAT} (?:the )?(?:current )?{_STAND}{_THIS}"
            rf"|(?:what are|what're|what r) (?:you|u) (?:doing|up to|working on){_THIS}"
            rf"|{_WHAT} (?:going on|happening){_THIS}"
            rf"|how is it going|how's it going|how far are you{_THIS}|how far is it|where are you{_THIS}"
            rf"|where (?:is|does) (?:it|this)(?: stand)?|any (?:news|updates?|progress){_THIS}"
            rf"|are you (?:still )?(?:working|there|on it){_THIS}|is it done(?: yet)?|are you done(?: yet)?|done yet"
        ),
    ),
    (
        "live",
        re.compile(
            rf"(?:{_WHAT}|(?:which|what) (?:version|build) is) (?:currently |now )?(?:live|deployed|released|running)"
            r"(?: (?:in|on) [a-z][a-z0-9-]{0,40}| where)?"
        ),
    ),
)
_REJECT = re.compile(
    r"(?:i )?reject(?:ed)?(?P<it> (?:it|this|that|this one|the change|the changes|this change|the build|this build))?"
    r"(?P<mark>\s*[:,;.!\u2013\u2014-]\s*|\s+(?=because\b|since\b|as\b))?(?P<reason>.*)",
    re.DOTALL | re.IGNORECASE,
)


def parse(own: str) -> Command | None:
    """Return the command that ``own`` (a sender's own words, without quotes and code) is, None for none."""
    said = unicodedata.normalize("NFKC", own[:_READ_CHARACTERS])[:_READ_CHARACTERS].replace("\u2019", "'").strip()
    plain = " ".join(said.lower().split())
    start = _start(plain)
    if rejected := _rejection(said, plain, start):
        return rejected
    if not plain or len(plain) > LONGEST_CHARACTERS or "\n" in said:
        return None
    asked = plain.endswith("?")
    words = _bare(plain[start:])
    for verb, pattern in _ASKS:
        if pattern.fullmatch(words):
            return Command(verb)
    if asked:
        return None
    for verb, pattern in _ACTS:
        if found := pattern.fullmatch(words):
            given = found.groupdict()
            return Command(verb, environment=given.get("environment") or "", digest=given.get("digest") or "")
    return None


def words_for(verb: str, value: str = "") -> str:
    """Return the words that do what the offer ``verb`` with ``value`` does, for chats without buttons; "" for none."""
    if verb == "roll_back":
        environment, _, digest = value.partition("/sha256:")
        return f"roll back {environment} {digest[:DIGEST_CHARACTERS]}".rstrip()
    spoken = {"approve": "approve", "reject": "reject: REASON", "stop": "stop", "status": "status", "answer": value}
    return spoken.get(verb, "")


def _start(plain: str) -> int:
    """Return where the words begin after the platform's name and politeness."""
    start = 0
    for pattern in (_NAME, _POLITE, _NAME, _POLITE):
        found = pattern.match(plain, start)
        if found is not None and found.end() < len(plain):
            start = found.end()
    return start


def _bare(words: str) -> str:
    """Return ``words`` without marks and politeness at their end."""
    while True:
        shorter = _LAST.sub("", words.rstrip(" .!?…,;:")).strip()
        if shorter == words or not shorter:
            return shorter or words.rstrip(" .!?…,;:")
        words = shorter


def _rejection(said: str, plain: str, start: int) -> Command | None:
    """Return a rejection with its reason as it was written; unsure where nothing sets the reason apart."""
    found = _REJECT.fullmatch(plain, start)
    if found is None:
        return None
    mark, rest = found["mark"] or "", _bare(found["reason"]) if found["reason"] else ""
    if not rest:
        return None if plain.endswith("?") else Command("reject")
    if found["reason"][:1].isalnum() and not mark and not found["reason"].startswith(" ") and not found["it"]:
        return None  # `rejection`, `rejects`
    written = re.search(r"reject(?:ed)?", said, re.IGNORECASE)
    body = said[written.start() :] if written else said
    again = _REJECT.fullmatch(body)
    reason = (again["reason"] if again else found["reason"]).strip(" \t\n:,;.-\u2013\u2014")
    sure = bool(mark.strip() or mark or found["it"]) and not plain.endswith("?")
    return Command("reject", reason=reason[:2000], sure=sure)
