"""What an operator says before anything may leave: where the install stands, and how far a target is open."""

import re
import shlex
from pathlib import Path

#: Settings of an install that knows whose law it is under.
AT_HOME = '[region]\njurisdiction = "DE"\n'


def opening(kind: str, name: str, level: str) -> str:
    """Return a fact file that opens one target, as `greylag facts open` would keep it."""
    return (
        f'schema_version = 2\n\n[[opening]]\nkind = "{kind}"\nname = "{name}"\nmax_level = "{level}"\n'
        'source = "the operator of this test"\nretrieved = 2026-01-02\nstatus = "in_force"\ncertainty = "O"\n'
    )


def prepare(home: Path, settings: str = AT_HOME, **openings: str) -> None:
    """Write settings and fact files of a home on which nothing runs yet."""
    (home / "facts").mkdir(mode=0o700, parents=True)
    home.chmod(0o700)
    (home / "greylag.toml").write_text(settings)
    for name, text in openings.items():
        (home / "facts" / f"{name}.toml").write_text(text)


def commands_in(text: str) -> list[list[str]]:
    """Return the commands of the program that ``text`` tells a person to run, as a shell would read them."""
    return [shlex.split(found) for found in re.findall(r"`greylag ([^`]*)`", text)]
