"""Keyed marks of people: how a person's data is found again without the person's name standing anywhere.

A mark is an HMAC under a key of the region. Without the key nobody can tell whom it means, or try names until one fits;
with the key, the mark of an identifier finds every entry about it. Marks stay personal data.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable

from greylag.governance.scanning.folding import fold
from greylag.governance.scanning.values import Findings

#: Marks that one asset carries at most; `MORE` stands among them where there were more.
MAX_MARKS = 64
MORE = "sub_more"
_MAX_IDENTIFIER = 512
_PHONE = re.compile(r"[+\d][\d\s().\-/]{5,}")
_ADDRESS = re.compile(r"[\d.]{7,15}|[0-9a-f:]*:[0-9a-f:]+")


def normalised(identifier: str) -> str:
    """Return the one spelling of an identifier: e-mail in lower case, numbers without what people put between digits.

    A telephone number loses ``(0)``, ``+`` and ``00``; a name its case, accents' composition and doubled spaces.
    """
    plain = unicodedata.normalize("NFKC", fold(identifier[:_MAX_IDENTIFIER]).text)
    plain = " ".join(plain.split()).casefold()
    if "@" in plain:
        return plain.strip("<>\"' ")
    if _ADDRESS.fullmatch(plain) and (plain.count(".") == 3 or ":" in plain):
        return plain
    if _PHONE.fullmatch(plain):
        digits = re.sub(r"\D", "", plain.replace("(0)", ""))
        return digits.removeprefix("00") if len(digits) > 7 else digits
    if any(sign.isdigit() for sign in plain):
        return re.sub(r"[\W_]", "", plain)
    return plain


def mark_of(identifier: str, key: bytes) -> str:
    """Return the mark of a person's e-mail address, telephone number, name or other identifier under ``key``.

    ``sub_`` and 96 bits of HMAC-SHA-256 in hex. Raises ValueError for a key of fewer than 16 bytes or an empty
    identifier.
    """
    if len(key) < 16:
        raise ValueError(f"`key` needs at least 16 bytes, got {len(key)}")
    plain = normalised(identifier)
    if not plain:
        raise ValueError("`identifier` is empty")
    digest = hmac.new(key, b"greylag subject\x00" + plain.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"sub_{digest.hexdigest()[:24]}"


def marks(of: Findings | Iterable[str], key: bytes) -> tuple[str, ...]:
    """Return the marks of the people that findings, or identifiers, name: sorted, at most `MAX_MARKS`.

    Where there are more, `MORE` stands at the end: then a mark that is missing proves nothing. Findings that were not
    read to their end have it too. Raises ValueError as `mark_of` does for the key.
    """
    if isinstance(of, Findings):
        values = [each.value for each in of.found if each.personal and each.value]
        complete = of.complete
    else:
        values, complete = [each for each in of if normalised(each)], True
    found = sorted({mark_of(value, key) for value in values})
    if len(found) <= MAX_MARKS and complete:
        return tuple(found)
    return (*found[: MAX_MARKS - 1], MORE)
