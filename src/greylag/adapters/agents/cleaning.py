"""Make text nobody vouches for fit to stand in one line of a terminal, a chat card or a page.

What an agent prints may hold terminal commands, text that runs backwards, invisible letters or a megabyte of marks.
Nothing here escapes HTML: pages do that where they are made.
"""

import re
import unicodedata

LINE_CHARS = 200
_INPUT_FACTOR = 64
_MARKS_IN_A_ROW = 3

# ECMA-48: CSI sequences, control strings (OSC, DCS, SOS, PM, APC) up to BEL or ST, other escapes; 7 and 8 bit forms.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# Letters, marks and symbols by category that show nothing (Unicode's Default_Ignorable_Code_Point, and blank braille).
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_DROPPED = frozenset({"Cc", "Cf"})
_UNKNOWN = frozenset({"Cs", "Co", "Cn"})
_SPACES = frozenset({"Zs", "Zl", "Zp"})


def display_line(text: str | bytes, limit_chars: int = LINE_CHARS) -> str:
    """Return ``text`` as one visible line of at most ``limit_chars`` characters, ending in ``…`` where it was cut.

    Terminal sequences (ECMA-48) are taken out whole; control, format and bidirectional characters (Unicode categories
    Cc, Cf) and invisible fillers vanish; white space of any kind becomes one space; surrogates, private and unassigned
    characters become U+FFFD; at most three combining marks follow each other. Applying it twice changes nothing.
    """
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    cut = len(plain) > limit_chars * _INPUT_FACTOR
    plain = _ESCAPES.sub("", plain[: limit_chars * _INPUT_FACTOR])
    line = " ".join(_visible(plain).split(" ")).strip()
    line = re.sub(" {2,}", " ", line)
    if len(line) <= limit_chars and not (cut and line):
        return line
    return line[: limit_chars - 1].rstrip() + "…"


def _visible(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        shown = _shown(character)
        if not shown:
            continue
        marks = marks + 1 if unicodedata.category(shown).startswith("M") else 0
        if marks <= _MARKS_IN_A_ROW:
            kept.append(shown)
    return "".join(kept)


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if category in _SPACES or character in "\t\n\r\v\f\x85":
        return " "
    if category in _DROPPED or character in _INVISIBLE:
        return ""
    return "\N{REPLACEMENT CHARACTER}" if category in _UNKNOWN else character
