"""Who is who: a chat's author is nobody here until a signed-in person, or an operator, says who they are.

A link code says which chat account asks to be known, and until when. It is no secret of anybody's and gives nothing by
itself: who opens it must be signed in and confirm, and it works once, for a chat account that nobody has yet.
"""

import base64
import hmac
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from greylag.adapters.store.port import ChatPerson, ChatStore
from greylag.delivery.cell import Cell
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import derived_id

#: How long a code can be used.
LINK_MINUTES = 30
_ID_CHARACTERS = 255
_NAME_CHARACTERS = 40
_CODE_CHARACTERS = 1000
_PURPOSE = b"greylag.link.v1\0"
_MAC_BYTES = 32
_AGAIN = "say something to Greylag in the chat again: it answers with a new link."


@dataclass(frozen=True, slots=True)
class Claim:
    """What a code stands for: a chat account, what it calls itself (anybody's words), and until when it counts."""

    source: str
    author: str
    name: str
    until: datetime
    mark: str


class Links:
    """Makes and redeems link codes, and says who is who. Safe to call from any thread.

    ``key`` (32 bytes of the region) signs codes; ``page`` is the address of the page for a code.
    """

    def __init__(self, cell: Cell, store: ChatStore, key: bytes, page: Callable[[str], str]) -> None:
        self._cell = cell
        self._store = store
        self._key = key
        self._page = page
        self._redeeming = threading.Lock()

    def address_for(self, source: str, author: str, name: str = "") -> str:
        """Return the address that the chat's ``author`` opens to say who they are, for `LINK_MINUTES` minutes."""
        until = self._cell.clock.now() + timedelta(minutes=LINK_MINUTES)
        return self._page(self._code(source, author, name, until))

    def read(self, code: str) -> Claim:
        """Return what ``code`` stands for.

        Raises RequestRefused ``GL-LINK-001`` (not one of ours), ``-002`` (its time is over), ``-003`` (used already).
        """
        claim = self._opened(code)
        if claim.until <= self._cell.clock.now():
            raise RequestRefused("GL-LINK-002", f"this link was good for {LINK_MINUTES} minutes.", _AGAIN)
        if self._store.note(claim.source, claim.mark):
            raise RequestRefused("GL-LINK-003", "this link was used already.", _AGAIN)
        return claim

    def redeem(self, code: str, person: str) -> ChatPerson:
        """Record that the code's chat account is ``person``, once, and return it. Raises as `read`.

        Also ``GL-LINK-004`` where the chat account is somebody else's already, ``GL-PERSON-001`` for an unknown person.
        """
        with self._redeeming:
            claim = self.read(code)
            there = self._store.person(claim.source, claim.author)
            if there is not None and there.person != person:
                raise RequestRefused(
                    "GL-LINK-004",
                    f"{claim.author!r} of {claim.source} is known as {there.person} already.",
                    "an operator takes that back first: `greylag person unlink`.",
                )
            # Used up before it counts: what dies in between needs a new link, and no link ever works twice.
            self._store.put_note(claim.source, claim.mark, self._cell.clock.now().isoformat(timespec="seconds"))
            return self._known(claim.source, claim.author, person, "link")

    def link(self, source: str, author: str, person: str) -> ChatPerson:
        """Record, for an operator, that the chat's ``author`` is ``person``, whoever that was before.

        Raises RequestRefused ``GL-LINK-005`` for ids that no chat gives, ``GL-PERSON-001`` for an unknown person.
        """
        for name, given in (("chat", source), ("id", author)):
            if not is_plain_id(given):
                raise RequestRefused(
                    "GL-LINK-005",
                    f"`{name}`: got/expected: {given[:60]!r}/an id of 1 to {_ID_CHARACTERS} characters.",
                    "take it from the chat, for example: `--chat slack:T024BE7LD --id U061F7AUR`.",
                )
        return self._known(source, author, person, "operator")

    def unlink(self, source: str, author: str) -> ChatPerson:
        """Forget who the chat's ``author`` is. Raises RequestRefused ``GL-LINK-006`` where nobody knows them."""
        there = self._store.person(source, author)
        if there is None:
            raise RequestRefused(
                "GL-LINK-006", f"nobody is known as {author[:60]!r} of {source[:60]!r}.", "see `greylag person links`."
            )
        self._store.remove_person(source, author)
        self._note_down("chat_person_forgotten", there)
        return there

    def all(self) -> tuple[ChatPerson, ...]:
        """Return everybody who is known from a chat."""
        return self._store.persons()

    def _known(self, source: str, author: str, person: str, via: str) -> ChatPerson:
        self._cell.directory.person(person)
        known = ChatPerson(source, author, person, via, self._cell.clock.now())
        self._note_down("chat_person", known)  # on record before it counts
        self._store.add_person(known)
        return known

    def _note_down(self, kind: str, known: ChatPerson) -> None:
        """Write it into the ledger; the chat's own id is not kept there for good, only what stands for it."""
        account = derived_id("acc", known.source, known.author)
        at = self._cell.clock.now().isoformat()
        entry = {
            "kind": kind, "region": self._cell.region, "source": known.source, "account": account, "by": known.person,
            "via": known.via,
        }  # fmt: skip
        self._cell.ledger.append(entry, key=f"{kind}/{account}/{at}")

    def _code(self, source: str, author: str, name: str, until: datetime) -> str:
        said = _plain(name)[:_NAME_CHARACTERS]
        values = [source, author, said, int(until.timestamp()), self._cell.clock.entropy(9).hex()]
        body = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
        code = f"{_spelled(body)}.{_spelled(self._mac(body))}"
        if len(code) > _CODE_CHARACTERS:
            raise RequestRefused(
                "GL-LINK-007", "the chat's ids are too long for a link.", "an operator says it: `greylag person link`."
            )
        return code

    def _opened(self, code: str) -> Claim:
        try:
            first, _, second = code[: _CODE_CHARACTERS + 1].partition(".")
            body, mac = _read(first), _read(second)
            genuine = len(code) <= _CODE_CHARACTERS and hmac.compare_digest(mac, self._mac(body))
        except ValueError:
            genuine = False
        if not genuine:
            raise RequestRefused("GL-LINK-001", "this is no link that Greylag made.", _AGAIN)
        source, author, name, until, _ = json.loads(body)
        return Claim(source, author, name, datetime.fromtimestamp(until, UTC), f"link/{sha256(body).hexdigest()[:40]}")

    def _mac(self, body: bytes) -> bytes:
        return hmac.new(self._key, _PURPOSE + body, sha256).digest()[:_MAC_BYTES]


def is_plain_id(given: str) -> bool:
    """Whether ``given`` can be an id of a chat: 1 to 255 characters that can be printed, no space among them."""
    return 0 < len(given) <= _ID_CHARACTERS and given.isprintable() and " " not in given


def _plain(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _spelled(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _read(text: str) -> bytes:
    """Return the bytes that `_spelled` spelled, for its own spelling only. Raises ValueError for any other."""
    raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    if _spelled(raw) != text:
        raise ValueError("another spelling")
    return raw
