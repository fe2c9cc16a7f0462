"""The files of a git folder that Greylag writes itself, so that no template, hook or setting of the machine gets in."""

from dataclasses import dataclass
from pathlib import Path

# The highest attributes there are: they switch off every conversion a repository's own `.gitattributes` may ask for.
# What is stored is what is checked out is what is captured is what is archived, byte for byte; diffs can't be hidden.
ATTRIBUTES = (
    "* !filter !diff !merge !text !eol !crlf !ident !working-tree-encoding !whitespace -export-ignore -export-subst\n"
)

# What tests, builds and editors leave behind; a repository's `.gitignore` may say otherwise (`!name`).
CACHES = (
    "__pycache__/", "*.py[cod]", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/", ".tox/", ".nox/",
    ".venv/", ".coverage", ".coverage.*", "*.egg-info/", ".eggs/", "node_modules/", ".npm/", ".pnpm-store/",
    ".yarn/cache/", ".turbo/", ".parcel-cache/", ".nyc_output/",
    ".gradle/", ".cache/", ".DS_Store", ".ipynb_checkpoints/", "*.swp",
)  # fmt: skip

# Refuses by itself, without starting any program: reads HEAD in its working directory, which is the bare repository.
PRE_RECEIVE = """\
#!/bin/sh
# Written by Greylag; it is put back when changed.
read -r _ protected < HEAD || exit 1
refused=0
while read -r old new ref; do
  case "$ref" in
    "$protected") echo "greylag: $ref is protected: ask in chat, changes are merged after approval." >&2; refused=1 ;;
    refs/heads/greylag/*) echo "greylag: $ref belongs to the platform: take another name." >&2; refused=1 ;;
    refs/heads/*) ;;
    refs/tags/*)
      case "$old" in
        *[!0]*) echo "greylag: $ref exists: tags are never moved or removed." >&2; refused=1 ;;
      esac ;;
    *) echo "greylag: $ref: only branches and tags can be pushed." >&2; refused=1 ;;
  esac
done
exit "$refused"
"""

_BARE = """\
[receive]
\tfsckObjects = true
\tmaxInputSize = 536870912
\tautogc = false
\tdenyCurrentBranch = refuse
[transfer]
\tfsckObjects = true
\thideRefs = refs/greylag
[http]
\tuploadpack = true
\treceivepack = true
\tgetanyfile = false
[uploadpack]
\tallowAnySHA1InWant = false
\tallowFilter = true
[gc]
\tauto = 0
"""
_WORKSPACE = """\
\tcheckStat = minimal
\ttrustctime = false
[user]
\tname = Agent
\temail = agent@sandbox.invalid
[commit]
\tgpgSign = false
[gc]
\tauto = 0
"""


@dataclass(frozen=True, slots=True)
class GitFolder:
    """What differs between git folders: ``branch`` HEAD names, hash algorithm, purpose, extra ignore rules."""

    branch: str
    sha256: bool = False
    workspace: bool = False
    shallow: bytes = b""
    exclude: str = ""


def lay_git_folder(git_dir: Path, folder: GitFolder) -> None:
    """Write an empty git folder at ``git_dir`` (absent before): bare, or for a workspace with a neutral identity."""
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (git_dir / name).mkdir(parents=True)
    version = 1 if folder.sha256 else 0
    bare = "false" if folder.workspace else "true"
    core = f"[core]\n\trepositoryformatversion = {version}\n\tfilemode = true\n\tbare = {bare}\n"
    extensions = "[extensions]\n\tobjectformat = sha256\n" if folder.sha256 else ""
    purpose = _WORKSPACE if folder.workspace else _BARE
    (git_dir / "config").write_text(core + purpose + extensions)
    (git_dir / "HEAD").write_text(f"ref: refs/heads/{folder.branch}\n")
    if folder.shallow:
        (git_dir / "shallow").write_bytes(folder.shallow)
    (git_dir / "info" / "exclude").write_text(folder.exclude)
    if not folder.workspace:
        (git_dir / "info" / "attributes").write_text(ATTRIBUTES)
        write_hook(git_dir)


def write_hook(git_dir: Path) -> None:
    """Make ``git_dir``'s pre-receive hook exactly ours, atomically; already right is fine."""
    hooks = git_dir / "hooks"
    hook = hooks / "pre-receive"
    try:
        if hook.read_text() == PRE_RECEIVE and hook.stat().st_mode & 0o777 == 0o755:
            return
    except (OSError, UnicodeDecodeError):
        hooks.mkdir(exist_ok=True)
    fresh = hooks / ".pre-receive.new"
    fresh.write_text(PRE_RECEIVE)
    fresh.chmod(0o755)
    fresh.replace(hook)
