"""Cassettes: what a scripted model says, written down. Reference: ``docs/reference/cassettes.md``."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from greylag.domain.errors import OperatorError

_FILE_BYTES = 4 * 1024 * 1024
_FILES = 500

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field that nobody knows is a mistake, not an extension."""


class ReadFile(_Strict, frozen=True, tag_field="name", tag="read"):
    """Read a file. A relative ``path`` is below the workspace."""

    path: _Text


class EditFile(_Strict, frozen=True, tag_field="name", tag="edit"):
    """Replace ``old``, which stands once in the file, by ``new``. Most harnesses want the file read before."""

    path: _Text
    old: _Text
    new: str


class WriteFile(_Strict, frozen=True, tag_field="name", tag="write"):
    """Write a whole file."""

    path: _Text
    content: str


class Shell(_Strict, frozen=True, tag_field="name", tag="shell"):
    """Run a command in the sandbox."""

    command: _Text


class Verify(_Strict, frozen=True, tag_field="name", tag="verify"):
    """Ask the platform's verifiers."""


Tool = ReadFile | EditFile | WriteFile | Shell | Verify


class Tokens(_Strict, frozen=True):
    """What the reply reports as used; nothing costs anything."""

    input_tokens: _Tokens = 0
    output_tokens: _Tokens = 0


class Turn(_Strict, frozen=True):
    """One reply: ``say`` and ``tools``, at least one of them, if ``expect`` is found in the newest tool result."""

    say: str = ""
    tools: tuple[Tool, ...] = ()
    expect: str | None = None
    usage: Tokens | None = None


class Scene(_Strict, frozen=True):
    """What happens in one conversation whose first user message ``prompt`` is found in."""

    prompt: str
    turns: Annotated[tuple[Turn, ...], msgspec.Meta(min_length=1)]


class Side(_Strict, frozen=True):
    """The reply to requests that offer no tools: titles, summaries."""

    say: _Text


class Cassette(_Strict, frozen=True):
    """One scripted story. ``when`` and ``prompt`` are regular expressions, searched, in which ``.`` fits line ends."""

    v: Annotated[int, msgspec.Meta(ge=1, le=1)]
    name: _Name
    when: str
    scenes: Annotated[tuple[Scene, ...], msgspec.Meta(min_length=1)]
    side: Side | None = None


def found(pattern: str, text: str) -> bool:
    """Return whether ``pattern`` is found in ``text``: the one way a cassette's expressions are read."""
    return re.search(pattern, text, re.DOTALL) is not None


def check_cassette(path: Path) -> Cassette:
    """Return the cassette in the file ``path``.

    Raises OperatorError ``GL-SCRIPT-001`` with file and place for anything that is not a cassette.
    """
    try:
        if path.stat().st_size > _FILE_BYTES:
            raise _bad(path, f"it is larger than {_FILE_BYTES} bytes")
        cassette = msgspec.json.decode(path.read_bytes(), type=Cassette)
    except OSError as error:
        raise _bad(path, error.strerror or type(error).__name__) from error
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise _bad(path, str(error)[:500]) from error
    for place, why in _faults(cassette):
        raise _bad(path, f"{why} - at `{place}`")
    return cassette


def load_cassettes(folder: Path) -> tuple[Cassette, ...]:
    """Return every cassette in ``folder`` (``*.json``, sorted by file name).

    Raises OperatorError ``GL-SCRIPT-001`` for a bad one, for two of one name, and for a folder without any.
    """
    paths = sorted(folder.glob("*.json"))
    if not paths or len(paths) > _FILES:
        raise _bad(folder, f"it holds {len(paths)} cassettes (`*.json`), and 1 to {_FILES} are needed")
    names: dict[str, Path] = {}
    cassettes = []
    for path in paths:
        cassette = check_cassette(path)
        if cassette.name in names:
            raise _bad(path, f"the name {cassette.name!r} is taken by `{names[cassette.name]}` - at `$.name`")
        names[cassette.name] = path
        cassettes.append(cassette)
    return tuple(cassettes)


def _faults(cassette: Cassette) -> Iterator[tuple[str, str]]:
    """Yield (place, what is wrong) for what types alone can't say."""
    expressions = [("$.when", cassette.when)]
    for number, scene in enumerate(cassette.scenes):
        expressions.append((f"$.scenes[{number}].prompt", scene.prompt))
        for turn_number, turn in enumerate(scene.turns):
            place = f"$.scenes[{number}].turns[{turn_number}]"
            if turn.expect is not None:
                expressions.append((f"{place}.expect", turn.expect))
                if turn_number == 0:
                    yield f"{place}.expect", "the first turn comes before any tool result"
            if not turn.say and not turn.tools:
                yield place, "a turn has to say something or to use a tool"
            if not turn.tools and turn_number < len(scene.turns) - 1:
                yield place, "a turn without tools ends the conversation, so it has to be the last one"
    for place, expression in expressions:
        try:
            re.compile(expression)
        except (re.error, RecursionError, OverflowError) as error:
            yield place, f"{expression[:80]!r} is not a regular expression ({error})"


def _bad(path: Path, why: str) -> OperatorError:
    return OperatorError(
        "GL-SCRIPT-001",
        f"`{path}` is no cassette: {why}.",
        "mend the file; `docs/reference/cassettes.md` describes it.",
    )
