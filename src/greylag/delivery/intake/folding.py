"""Folding a text for reading: what looks alike becomes alike, what can't be seen goes. Never for showing or keeping."""

import re
import unicodedata

_ENTITIES = re.compile(r"&(gt|lt|amp);")
_PLAIN = {"gt": ">", "lt": "<", "amp": "&"}
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_MARKS_IN_A_ROW = 4
# A chat makes a link of `tide.rs` or `player.py`, for both end like a country's addresses. What was typed is the label.
_MADE_A_LINK = re.compile(r"<https?://([^<>|\s]{1,255})/?\|\1/?>")
_WORD = re.compile(r"[^\W\d_]+")
# Typographic marks that people type as plain ones.
_PLAIN_MARKS = str.maketrans("\u2018\u2019\u201a\u2039\u203a\u2010\u2011\u2012\u2013\u2014\u2212", "'''''------")
_TWINS = str.maketrans(
    "аеіјӏоһрсхуѕԁԛԝѵвмнткАВЕІЈКМНОРСТХУЅԌԚԜοανιρτυκχΑΒΕΖΗΙΚΜΝΟΡΤΥΧıɡɑ",
    "aeijlohpcxysdqwvbmhtkABEIJKMHOPCTXYSGQWoavipTukxABEZHIKMNOPTYXiga",
)


def fold(text: str) -> str:
    """Return ``text`` as it reads: compatible forms joined, invisible characters gone, look-alikes in their place.

    A letter of another script is taken for its Latin twin only inside a word that has Latin letters too: words that
    are written in one script stay as they are. Takes time linear in the text.
    """
    text = _LINE_ENDS.sub("\n", _ENTITIES.sub(lambda found: _PLAIN[found[1]], text))
    if not text.isascii():
        # Before the characters are composed: sorting a long row of marks takes time squared.
        text = unicodedata.normalize("NFKC", _without_unseen(text))
        text = _WORD.sub(_fold_word, _LINE_ENDS.sub("\n", _without_unseen(text).translate(_PLAIN_MARKS)))
    else:
        text = "".join(character for character in text if character >= " " or character in "\n\t")
    return _MADE_A_LINK.sub(lambda found: found[1], text)


def _without_unseen(text: str) -> str:
    kept, marks = [], 0
    for character in text:
        kind = unicodedata.category(character)
        if kind[0] == "M":
            marks += 1
            if marks > _MARKS_IN_A_ROW or "\ufe00" <= character <= "\ufe0f" or character >= "\U000e0100":
                continue
        else:
            marks = 0
        if kind in ("Cf", "Cs", "Co", "Cn") or (kind == "Cc" and character not in "\n\t"):
            continue
        kept.append(character)
    return "".join(kept)


def _fold_word(found: "re.Match[str]") -> str:
    word = found[0]
    if word.isascii() or not any("a" <= character.lower() <= "z" for character in word):
        return word
    return word.translate(_TWINS)
