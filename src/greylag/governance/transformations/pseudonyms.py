"""Pseudonyms: a token for each identifier, the same for the same identifier under one key, and the way back.

What reads like a token already is wrapped in a token of its own, so that restoring gives back exactly what was there.
Pseudonymised data stays personal data (GDPR recital 26): the mapping is to be kept where the recipient can't reach it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping

from greylag.domain.errors import IntegrityError
from greylag.governance.scanning.documents import is_json, items, written
from greylag.governance.scanning.values import PSEUDONYM, Finding, Findings
from greylag.governance.transformations.sealing import derived_key, seal, unseal
from greylag.governance.transformations.splicing import checked, spliced, text_of
from greylag.governance.transformations.values import Parameters, Transformed, refused

#: Classes whose finds are replaced: what tells who a person is, or leads to them.
IDENTIFIERS = (
    "user.account", "user.contact", "user.demographic.date_of_birth", "user.device", "user.financial",
    "user.government_id", "user.health_and_medical.insurance_beneficiary_id", "user.health_and_medical.record_id",
    "user.name", "user.unique_id",
)  # fmt: skip
_PURPOSE = "pseudonyms"
_DIGITS = 12
_LONGEST = len("psn--") + 12 + _DIGITS
#: The beginning of a token at the end of a text.
_BEGINNING = re.compile(r"p(?:s(?:n(?:-(?:[a-z]{1,12}(?:-[0-9a-f]{0,11})?)?)?)?)?\Z")


def pseudonymise(
    content: bytes, media_type: str, findings: Findings, parameters: Parameters, key: bytes | None
) -> Transformed:
    """Replace what identifies people by tokens such as ``psn-email-1a2b3c4d5e6f``; ``mapping`` undoes it.

    ``key`` is the task's: other tasks have other tokens for the same person. Raises RequestRefused
    ``GL-TRANSFORM-001``, ``GL-TRANSFORM-003`` for content that can't be read, ``GL-TRANSFORM-004`` where there is no
    key or two identifiers have one token.
    """
    if key is None:
        raise refused("004", "`pseudonymise` needs the key of a task.", "give the region's key derived for the task.")
    names = derived_key(key, "names")
    originals: dict[str, str] = {}  # what stands in a key or a number of JSON stays, for the second scan to meet

    def token(original: str, finding: Finding) -> str:
        made = _token(names, finding.token, original)
        if originals.setdefault(made, original) != original:
            raise refused("004", "two identifiers have the same pseudonym.", "use another key.")
        return made

    found = findings.within(*IDENTIFIERS)
    tokens = _tokens_in(content, media_type)
    changed = spliced(content, media_type, (*found, *tokens), token, kinds=("text",))
    replaced = tuple(sorted({each.key for each in found}))
    notes = (f"{len(originals)} pseudonyms", *(("what read like a pseudonym was replaced too",) if tokens else ()))
    return Transformed(changed, seal_mapping(originals, key), replaced, notes)


def seal_mapping(mapping: Mapping[str, str], key: bytes) -> bytes:
    """Return token → original sealed under the task's ``key``, the same bytes for the same mapping."""
    return seal(json.dumps(dict(mapping), sort_keys=True).encode(), key, _PURPOSE)


def open_mapping(mapping: bytes, key: bytes) -> dict[str, str]:
    """Return token → original. Raises IntegrityError ``GL-TRANSFORM-011`` where it is not what ``key`` has sealed."""
    opened: dict[str, str] = json.loads(unseal(mapping, key, _PURPOSE))
    return opened


def merged_mappings(*mappings: Mapping[str, str]) -> dict[str, str]:
    """Return all tokens of a task together. Raises IntegrityError ``GL-TRANSFORM-012`` where one has two originals."""
    merged: dict[str, str] = {}
    for mapping in mappings:
        for token, original in mapping.items():
            if merged.setdefault(token, original) != original:
                raise IntegrityError(
                    "GL-TRANSFORM-012", f"`{token}` stands for two identifiers.", "keep each task's mappings apart."
                )
    return merged


def restore(content: bytes, media_type: str, mapping: Mapping[str, str]) -> bytes:
    """Return content with each token that ``mapping`` knows replaced by what it stands for; others stay.

    In JSON it works on decoded strings (not on keys), so the result is JSON with equal values. Raises RequestRefused
    ``GL-TRANSFORM-001`` and ``GL-TRANSFORM-003`` for content that can't be read.
    """
    text = text_of(content)
    if not is_json(media_type):
        return _restored(text, mapping).encode("utf-8", "replace")
    checked(text, media_type)
    pieces: list[str] = []
    end = 0
    for item in items(text):
        changed = _restored(item.value, mapping) if item.kind == "text" else item.value
        if changed != item.value:
            pieces += (text[end : item.start], written(changed))
            end = item.end
    return "".join((*pieces, text[end:])).encode()


class PseudonymRestorer:
    """Restores text that comes in pieces, wherever the pieces are cut: a token that may have begun is held back.

    What `feed` and `close` return, put together, is what `restore` would have returned for the whole. At most
    28 characters are held back. ``inside_json`` True: the text is the inside of a JSON string that is sent in
    pieces (the arguments of a tool call), so originals are escaped.
    """

    def __init__(self, mapping: Mapping[str, str], *, inside_json: bool = False) -> None:
        self._mapping = {
            token: json.dumps(original)[1:-1] if inside_json else original for token, original in mapping.items()
        }
        self._held = ""

    def feed(self, text: str) -> str:
        """Return as much of what came so far as can't be the beginning of a token."""
        text = self._held + text
        # A token that is whole ends where its last digit stands, so only what follows the last one can be a beginning.
        whole = max((found.end() for found in PSEUDONYM.finditer(text)), default=0)
        beginning = _BEGINNING.search(text, max(whole, len(text) - _LONGEST))
        cut = beginning.start() if beginning else len(text)
        self._held = text[cut:]
        return _restored(text[:cut], self._mapping)

    def close(self) -> str:
        """Return what was held back; nothing follows."""
        held, self._held = self._held, ""
        return _restored(held, self._mapping)


def _token(key: bytes, word: str, original: str) -> str:
    framed = f"{word}\x00{original}".encode("utf-8", "surrogatepass")
    return f"psn-{word}-{hmac.new(key, framed, hashlib.sha256).hexdigest()[:_DIGITS]}"


def _restored(text: str, mapping: Mapping[str, str]) -> str:
    return PSEUDONYM.sub(lambda found: mapping.get(found[0], found[0]), text)


def _tokens_in(content: bytes, media_type: str) -> tuple[Finding, ...]:
    text = text_of(content)
    if not is_json(media_type):
        return tuple(_as_finding(found, 0) for found in PSEUDONYM.finditer(text))
    checked(text, media_type)
    return tuple(
        _as_finding(found, number)
        for number, item in enumerate(items(text))
        if item.kind == "text"
        for found in PSEUDONYM.finditer(item.value)
    )


def _as_finding(found: re.Match[str], item: int) -> Finding:
    return Finding("token", "user.unique_id.pseudonymous", "internal", *found.span(), "token", item=item)
