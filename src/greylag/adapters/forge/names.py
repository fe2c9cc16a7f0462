"""Which names are safe: repositories, branches, object ids, and the paths inside a tree."""

import re
import unicodedata

from greylag.domain.errors import RequestRefused

REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_BAD_IN_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_BRANCH_LENGTH = 200
_PATH_LENGTH = 1024
_PATH_DEPTH = 64
# Characters that HFS+ drops from names, so that `.g<U+200C>it` is `.git` there. Source: git's utf8.c, next_hfs_char.
_HFS_IGNORED = re.compile("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
# What makes a shown name lie: bidirectional controls and invisible characters. Source: Unicode TR 36, section 3.
_DECEIVING = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


def require_repository_name(name: str) -> str:
    """Return ``name``; raises RequestRefused ``GL-FORGE-011`` where it isn't ``[a-z0-9][a-z0-9._-]{0,63}``."""
    if not REPOSITORY.fullmatch(name) or name.endswith((".git", ".lock", ".")):
        raise RequestRefused(
            "GL-FORGE-011",
            f"{name[:80]!r} can't be a repository's name.",
            "use 1 to 64 of a-z, 0-9, `.`, `_`, `-`, starting with a letter or digit, not ending in `.git`.",
        )
    return name


def require_branch(branch: str) -> str:
    """Return ``branch``; raises RequestRefused ``GL-FORGE-012`` for what git-check-ref-format(1) doesn't allow."""
    parts = branch.split("/")
    bad = (
        not branch or len(branch.encode("utf-8", "replace")) > _BRANCH_LENGTH or branch in {"@", "HEAD"}
        or branch.startswith("-") or branch.endswith(".") or _BAD_IN_BRANCH.search(branch) is not None
        or any(not part or part.startswith(".") or part.endswith(".lock") for part in parts)
        or not _encodable(branch)
    )  # fmt: skip
    if bad:
        raise RequestRefused(
            "GL-FORGE-012",
            f"{branch[:80]!r} can't be a branch's name.",
            "use letters, digits, `-`, `_`, `.` and single `/`, at most 200 bytes.",
        )
    return branch


def require_object_id(value: str) -> str:
    """Return ``value``; raises RequestRefused ``GL-FORGE-013`` where it isn't a full hex object id."""
    if not _OBJECT_ID.fullmatch(value):
        raise RequestRefused(
            "GL-FORGE-013",
            f"{value[:80]!r} is no full object id.",
            "give all 40 (or 64) hexadecimal digits, in lower case.",
        )
    return value


def is_object_id(value: str) -> bool:
    """Whether ``value`` is a full lower-case hex object id."""
    return _OBJECT_ID.fullmatch(value) is not None


def require_tree_path(path: str) -> bytes:
    """Return ``path`` as git stores it; raises RequestRefused ``GL-FORGE-010`` for one that could leave its folder."""
    encoded = path.encode("utf-8", "surrogateescape")
    parts = encoded.split(b"/")
    unsafe = any(part in {b"", b".", b".."} or is_git_folder_name(part) for part in parts)
    if unsafe or b"\0" in encoded or len(encoded) > _PATH_LENGTH or len(parts) > _PATH_DEPTH:
        raise RequestRefused(
            "GL-FORGE-010",
            f"{shown(encoded)[:120]!r} is no safe path for a file in a repository.",
            "use a relative path without empty parts, `.`, `..` or `.git`.",
        )
    return encoded


def is_git_folder_name(name: bytes) -> bool:
    """Whether some file system or git itself takes ``name`` for ``.git`` (case, HFS+ and NTFS spellings).

    Source: git's path.c ``is_ntfs_dotgit`` and utf8.c ``is_hfs_dotgit``.
    """
    text = _HFS_IGNORED.sub("", name.decode("utf-8", "replace")).lower()
    return any(piece.split(":", 1)[0].rstrip(" .") in {".git", "git~1"} for piece in text.split("\\"))


def shown(path: bytes) -> str:
    r"""Return ``path`` for people: printable, one line, and different for different paths.

    A backslash is doubled; bytes that aren't UTF-8, control, bidirectional and invisible characters become ``\x..`` or
    ``\u....``.
    """
    text = path.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    return "".join(char.encode("unicode_escape").decode("ascii") if _deceives(char) else char for char in text)


def is_odd(path: bytes) -> bool:
    """Whether `shown` has to escape anything in ``path``."""
    return shown(path).encode() != path


def _deceives(char: str) -> bool:
    return unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} or _DECEIVING.match(char) is not None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
