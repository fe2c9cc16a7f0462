"""Reading the fields of one row out of decoded TOML or JSON, with errors that name row, field, got and expected."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeGuard

from greylag.domain.errors import OperatorError
from greylag.governance.facts.values import (
    ANYWHERE,
    MAX_ITEMS,
    MAX_TEXT,
    OPERATOR,
    UNKNOWN,
    fact_error,
)

#: An ISO 3166 code, or a part of one where law differs.
CODE = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,4})?")
ZONE_PREFIX = "zone:"
RESERVED = frozenset({ANYWHERE, UNKNOWN, OPERATOR})

#: A name that other rows, settings or questions use.
NAME = (re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*"), "letters, digits and `._:/@+-`, a letter or digit first")
#: The same, or everything that begins so.
NAMES = (re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*\*?"), f"{NAME[1]}; `*` only as the last sign")
#: A name that becomes one part of a row's name.
WORD = (re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*"), "letters, digits and `._@+-`, a letter or digit first")
#: A company's name as its papers spell it, in one line; `/` would make two names of it.
COMPANY = (
    re.compile(r"[^\W_](?:[^/\x00-\x1f\x7f-\x9f\u2028\u2029{}]*[^\s/{}])?"),
    "a name in one line without `/`, `{`, `}`",
)
#: A key of the taxonomy.
CLASS = (re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*"), "a taxonomy key such as `user.contact.email`")
HOST = (
    re.compile(r"(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(:[0-9]{1,5})?"),
    "a host name in lower case",
)
JURISDICTION = (CODE, "an ISO 3166 code such as `DE` or `CA-QC`")

Form = tuple[re.Pattern[str], str]

_TERRITORY = {"code": "an ISO 3166 code", "zone": "`zone:NAME`", "place": "the name of a place"}

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2999, 12, 31)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SPREAD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one row. ``label`` says which row, for errors: ``target 3 ('anthropic')``."""

    label: str
    values: Mapping[str, object]

    def only(self, known: frozenset[str]) -> None:
        """Check that no other field is there. Raises OperatorError ``GL-FACTS-002``."""
        for name in self.values:
            if name not in known:
                raise fact_error(
                    "002",
                    f"row {self.label}: field {str(name)[:80]!r} is not known (expected: {', '.join(sorted(known))}).",
                )

    def wrong(self, name: str, got: object, expected: str) -> OperatorError:
        """Return the error ``GL-FACTS-003``: this field's value can't be."""
        shown = repr(got)
        shown = f"{shown[:120]}{'…' * (len(shown) > 120)}"
        return fact_error("003", f"row {self.label}, field `{name}`: got/expected: {shown}/{expected}.")

    def needed(self, name: str) -> object:
        """Return a field that must be there. Raises OperatorError ``GL-FACTS-003``."""
        if name not in self.values:
            raise fact_error(
                "003", f"row {self.label}, field `{name}`: got/expected: nothing/a value.", f"add `{name}` to the row."
            )
        return self.values[name]

    def text(self, name: str, default: str | None = None, *, empty: bool = False) -> str:
        """Return a text of at most `MAX_TEXT` characters; without ``default`` it must be there."""
        value = self.needed(name) if default is None else self.values.get(name, default)
        if not is_text(value) or not (value or empty or value == default):
            raise self.wrong(name, value, f"a text of {0 if empty else 1} to {MAX_TEXT} characters")
        return value

    def formed(self, name: str, form: Form, default: str | None = None) -> str:
        """Return a text of this form; the default needs no form."""
        value = self.text(name, default)
        if value != default and not form[0].fullmatch(value):
            raise self.wrong(name, value, form[1])
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        """Return one of the ``allowed`` words."""
        value = self.needed(name) if default is None else self.values.get(name, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.wrong(name, value, f"one of {', '.join(allowed)}")
        return value

    def texts(self, name: str, form: Form | None = None, *, needed: bool = False) -> tuple[str, ...]:
        """Return a list of texts, sorted and without doubles; where it is ``needed`` it must hold something."""
        value = self.needed(name) if needed else self.values.get(name, [])
        if not isinstance(value, list | tuple) or len(value) > MAX_ITEMS or (needed and not value):
            raise self.wrong(name, value, f"a list of {1 if needed else 0} to {MAX_ITEMS} texts")
        for item in value:
            if not is_text(item) or not item:
                raise self.wrong(name, item, f"texts of 1 to {MAX_TEXT} characters")
            if form is not None and not form[0].fullmatch(item):
                raise self.wrong(name, item, form[1])
        return tuple(sorted(set(value)))

    def territory(self, name: str, kinds: str, extra: tuple[str, ...] = (), *, needed: bool = True) -> tuple[str, ...]:
        """Return a list of what ``kinds`` names (``code``, ``zone``, ``place``, spaced) and of the words of ``extra``.

        A code is an ISO 3166 one, a zone ``zone:NAME``. Where it is ``needed`` it must be there and hold something.
        """
        items = self.texts(name, needed=needed)
        words = [_TERRITORY[kind] for kind in kinds.split()] + [f"`{word}`" for word in extra]
        for item in items:
            if item not in extra and kind_of(item) not in kinds.split():
                raise self.wrong(name, item, ", ".join(words))
        return items

    def flag(self, name: str, default: bool | None = None) -> bool:
        """Return true or false."""
        value = self.needed(name) if default is None else self.values.get(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, value, "true or false")
        return value

    def whole(self, name: str, highest: int, default: int) -> int:
        """Return a whole number from 0 to ``highest``."""
        value = self.values.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= highest:
            raise self.wrong(name, value, f"a whole number from 0 to {highest}")
        return value

    def day(self, name: str) -> date | None:
        """Return a day, as TOML has it or as ISO text; None where the field isn't there."""
        value = self.values.get(name)
        found = value
        if isinstance(value, str) and _DAY.fullmatch(value):
            try:
                found = date.fromisoformat(value)
            except ValueError:
                found = None
        if value is None and name not in self.values:
            return None
        if not isinstance(found, date) or isinstance(found, datetime) or not FIRST_DAY <= found <= LAST_DAY:
            raise self.wrong(name, value, f"a day such as 2026-01-31, from {FIRST_DAY} to {LAST_DAY}")
        return found


def is_text(value: object) -> TypeGuard[str]:
    """Whether ``value`` is a text of at most `MAX_TEXT` characters that can be written as UTF-8."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return False
    return value.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in value)


def kind_of(item: str) -> str:
    """Return what an item of a list of places is: ``word``, ``code``, ``zone``, ``place``; empty for none of them."""
    if item in RESERVED:
        return "word"
    if item.startswith(ZONE_PREFIX):
        return "zone" if WORD[0].fullmatch(item, len(ZONE_PREFIX)) else ""
    if CODE.fullmatch(item):
        return "code"
    return "place" if NAME[0].fullmatch(item) else ""


def filled(value: object, variables: Mapping[str, str], where: str, depth: int = 3) -> object:
    """Return ``value`` with each ``{name}`` replaced by its variable, and ``{{`` by ``{``, in texts down to ``depth``.

    Raises OperatorError ``GL-FACTS-007`` for a name without a variable.
    """
    if isinstance(value, list | tuple) and depth:
        return [filled(item, variables, where, depth - 1) for item in value]
    if isinstance(value, Mapping) and depth:
        return {name: filled(item, variables, where, depth - 1) for name, item in value.items()}
    if not isinstance(value, str):
        return value

    def variable(found: re.Match[str]) -> str:
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found[1] not in variables:
            known = sorted(variables) or "no variables here"
            raise fact_error(
                "007", f"{where}: `{found[0][:80]}` is no variable; got/expected: {found[1][:80]!r}/{known}.",
                "take a variable that is there, or write `{{` and `}}` for plain braces.",
            )  # fmt: skip
        return variables[found[1]]

    return _SPREAD.sub(variable, value)


def escaped(text: str) -> str:
    """Return ``text`` so that `filled` gives it back."""
    return text.replace("{", "{{").replace("}", "}}")
