"""Trust: which words of a text are its sender's own. Everything else in it is data.

Works on the text as it reads (`fold`), by the marks people and chats use: quoted lines, code, forwarded messages,
links, and words between quotation marks. In doubt a word is not the sender's own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from greylag.delivery.intake.folding import fold

#: Whose words a part of a text is: the sender's own, or data of four kinds.
TRUSTS = ("own", "quoted", "code", "link", "forwarded")


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a folded text; ``trust`` ∈ `TRUSTS`."""

    text: str
    trust: str


_QUOTED_LINE = re.compile(r"[ \t]*(?:(?:[-*+•]|\d{1,3}[.)])[ \t]+)?>")
_QUOTED_BLOCK = re.compile(r"[ \t]*>>>")
_TILDES = re.compile(r"[ \t]*(~{3,})")
_TICKS = re.compile(r"`{3,}")
# From here to the end of the message.
_FORWARDED = re.compile(
    r"[ \t]*(?:[-_=]{2,}[ \t]*(?:Begin )?(?:forwarded|original|weitergeleitete|ursprüngliche"
    r"|message (?:transféré|d'origine)|mensaje (?:reenviado|original))|begin forwarded message|(?:fwd?|wg)[ ]?:)",
    re.IGNORECASE,
)
_MAIL_HEAD = re.compile(r"[ \t]*(?:From|Von|De|Da)[ ]?:[ ]\S")
_MAIL_HEAD_NEXT = re.compile(
    r"[ \t]*(?:To|Cc|Sent|Date|Subject|An|Gesendet|Datum|Betreff|À|Envoyé|Objet|Para|Enviado|Asunto)[ ]?:",
    re.IGNORECASE,
)
# "On Tue, 3 Feb 2026, Ada wrote:", in some languages; searched for piece by piece, which takes linear time.
_MAIL_DATE = re.compile(r"[ \t]*(?:On|Am|Le|El|Il|Op)\b[^\d\n]*\d")
_MAIL_WROTE = re.compile(r"\b(?:wrote|schrieb|a écrit|escribió|ha scritto|schreef)\b")
# From here to the end of the line, or where nothing follows in it, to the end of the paragraph.
_SAID_BY = re.compile(
    r"\b(?:wrote|writes|said|says|reports|reported|schrieb|schreibt|sagt|sagte|meint|meldet|écrit|dit|escribió|escribe|dice"
    r"|dijo)[ ]?:",
    re.IGNORECASE,
)
_CLOSING = {'"': '"', "“": "”", "„": "“", "«": "»", "»": "«", "'": "'"}
_PASTED_HEAD = re.compile(
    r"(?:@?[A-ZÀ-Þ][\w.'-]{0,40}[ \t]+){1,4}\[?\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?[AaPp][Mm])?\]?[ \t]*$"
)
_PASTED_LINE = re.compile(
    r"[ \t]*\[?\d{1,2}:\d{2}(?::\d{2})?(?:[ ]?[AaPp][Mm])?\]?[ \t]+(?:<[^<>\n]{1,80}>|@?[\w.-]{1,80}:)[ \t]"
)
_LOG_LINE = re.compile(
    r"[ \t]*(?:Traceback \(most recent|File \"[^\"\n]{1,400}\", line \d|at [^\s()]{1,200} ?\([^()\n]{1,400}:\d"
    r"|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?(?:ERROR|WARN|WARNING|INFO|DEBUG|FATAL|CRITICAL)[]:]"
    r"|(?:\w{1,80}\.){0,8}[A-Z]\w{0,80}(?:Error|Exception)(?:\[\w{1,40}\])?:|npm ERR!|E  +\w|diff --git |@@ -\d)"
)
_INLINE = re.compile(
    r"(?P<code>``[^`\n]+``|`[^`\n]+`)"
    r"|(?P<link><(?:https?|ftp|file|mailto|tel):[^<>]{0,4000}>|<[@#!][^<>\s]{0,300}>|!?\[[^\[\]\n]{0,300}\]\([^()\s]{1,2000}\)"
    r"|\b(?:https?|ftp|file)://\S+|\bmailto:\S+|\bwww\.\S+)"
    r"|(?P<quoted>(?<!\w)\"[^\"\n]*(?:\n(?![ \t]*\n)[^\"\n]*){0,40}\"(?!\w)"
    r"|“[^“”]+”|„[^„“”]+[“”]|«[^«»]+»|»[^«»]+«)",
    re.IGNORECASE,
)


def own_words(text: str) -> str:
    """Return what the sender of ``text`` wrote themself, folded for reading: no quotes, code, links or forwards.

    Where something was taken out a space or the end of a line stands: words never run together. Takes linear time.
    """
    words = "".join(part.text if part.trust == "own" else _gap(part.text) for part in parts(text))
    lines = (" ".join(line.split()) for line in words.split("\n"))
    return "\n".join(line for line in lines if line)


def _gap(text: str) -> str:
    return "\n" if "\n" in text else " "


def parts(text: str) -> tuple[Part, ...]:
    """Return ``text``, folded, cut into stretches of one trust; together they are the whole of it."""
    return tuple(Part(stretch, trust) for stretch, trust in _joined(_inline(_joined(_blocks(fold(text))))))


def _joined(stretches: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for trust, group in groupby((each for each in stretches if each[0]), key=itemgetter(1)):
        yield "".join(stretch for stretch, _ in group), trust


def _inline(blocks: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for block, trust in blocks:
        at = 0
        for found in _INLINE.finditer(block) if trust == "own" else ():
            yield block[at : found.start()], "own"
            yield found[0], str(found.lastgroup)
            at = found.end()
        yield block[at:], trust


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Cut at what spans lines; every line is looked at once."""
    at = 0
    while at < len(text):
        end = _line_end(text, at)
        line = text[at:end]
        trust, until = _block_at(text, at, line)
        if trust != "own":
            yield text[at:until], trust
            at = until
            continue
        ticks, said = _TICKS.search(line), _SAID_BY.search(line)
        if ticks and not (said and said.start() < ticks.start()):
            begun = at + ticks.start()
            yield text[at:begun], "own"
            at = _fence_end(text, begun + len(ticks[0]), ticks[0])
            yield text[begun:at], "code"
        elif said:
            begun = at + said.end()
            yield text[at:begun], "own"
            at = _said_end(text, begun, end)
            yield text[begun:at], "forwarded"
        else:
            yield line, "own"
            at = end


def _block_at(text: str, at: int, line: str) -> tuple[str, int]:
    """Return which trust begins with this line and where it ends; ``own`` where nothing of that kind begins."""
    end = at + len(line)
    if _QUOTED_BLOCK.match(line):
        return "quoted", _paragraph_end(text, end)
    if _QUOTED_LINE.match(line):
        return "quoted", end
    if tildes := _TILDES.match(line):
        return "code", _fence_end(text, end, tildes[1])
    if _PASTED_LINE.match(line):
        return "forwarded", end
    if _LOG_LINE.match(line):
        return "code", end
    if _PASTED_HEAD.match(line):
        return "forwarded", _paragraph_end(text, end)
    following = text[end : _line_end(text, end)]
    if _FORWARDED.match(line) or (_MAIL_HEAD.match(line) and _MAIL_HEAD_NEXT.match(following)):
        return "forwarded", len(text)
    if line.rstrip().endswith(":") and _MAIL_DATE.match(line) and _MAIL_WROTE.search(line):
        return "forwarded", end if _QUOTED_LINE.match(following) else len(text)
    return "own", end


def _said_end(text: str, at: int, end: int) -> int:
    """Return where what somebody is said to have said ends: with its quotation, its line, or its paragraph."""
    begun = at + len(text[at:end]) - len(text[at:end].lstrip())
    opened = text[begun : begun + 1]
    if opened in _CLOSING:
        closed = text.find(_CLOSING[opened], begun + 1)
        return closed + 1 if closed > 0 else _paragraph_end(text, end)
    return end if opened and begun < end else _paragraph_end(text, end)


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found + 1


def _paragraph_end(text: str, at: int) -> int:
    while at < len(text) and text[at : _line_end(text, at)].strip():
        at = _line_end(text, at)
    return at


def _fence_end(text: str, at: int, fence: str) -> int:
    """Return where a fence that was opened before ``at`` ends: after as long a row of its mark, else nowhere."""
    found = re.compile(f"{re.escape(fence[0])}{{{len(fence)},}}").search(text, at)
    return found.end() if found else len(text)
