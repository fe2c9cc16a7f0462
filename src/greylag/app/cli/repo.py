"""``greylag repo …``."""

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Json, emit, table
from greylag.domain.errors import RequestRefused

app = typer.Typer(no_args_is_help=True)
Source = Annotated[
    str, typer.Argument(help="A folder or URL of a git repository, or sdist:NAME==VERSION#sha256=HEX for a package.")
]
Requirement = Annotated[
    list[str] | None, typer.Option("--requirement", help="A package its checks need (wheels only); may be given again.")
]


@app.command()
def add(  # noqa: PLR0913 - each is an option of the command
    source: Source,
    name: Annotated[str, typer.Option(help="What it is called here (default: its own name).")] = "",
    config: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file: level, classes, origins, path_rules, owner, build, verify, keywords, environments."
        ),
    ] = None,
    level: Annotated[str, typer.Option(help="public, internal, confidential or restricted.")] = "",
    verify: Annotated[list[str] | None, typer.Option(help="A check as one command line; may be given again.")] = None,
    requirement: Requirement = None,
    patch: Annotated[Path | None, typer.Option(help="A unified diff to apply to a package's source.")] = None,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Bring a repository in: it is copied; the original is never touched."""
    body: dict[str, Any] = _read_config(config) if config else {}
    path = Path(source)
    body["source"] = str(path.absolute()) if path.exists() else source
    body["name"] = name or body.get("name") or _name_of(source)
    if level:
        body["level"] = level
    if verify:
        body["verify"] = [_words(line) for line in verify]
    if requirement:
        body["requirements"] = requirement
    if patch:
        body["patch"] = _read_patch(patch)
    with connect(as_person) as session:
        added = session.post("/repositories", body)
    emit(added, as_json, lambda each: f"added {each['name']} ({each['default_branch']})")


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="REPOSITORY", help="The repository's name here.")],
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Show how a repository is checked, built and released."""
    with connect(as_person) as session:
        found = session.get(f"/repositories/{name}")
    emit(found, as_json, _told)


@app.command("set")
def change(  # noqa: PLR0913 - each is an option of the command
    name: Annotated[str, typer.Argument(metavar="REPOSITORY", help="The repository's name here.")],
    level: Annotated[str, typer.Option(help="public, internal, confidential or restricted.")] = "",
    verify: Annotated[
        list[str] | None, typer.Option(help="Its checks from now on, each one command line; `auto` finds them.")
    ] = None,
    build: Annotated[str, typer.Option(help="auto, wheel, npm or archive.")] = "",
    requirement: Requirement = None,
    keyword: Annotated[list[str] | None, typer.Option(help="A word by which requests find it; added.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file whose keys replace the present ones.")] = None,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Change a repository's settings; requirements and keywords are added to those that are there."""
    with connect(as_person) as session:
        body: dict[str, Any] = session.get(f"/repositories/{name}")
        body |= {key: value for key, value in (_read_config(config) if config else {}).items() if key != "name"}
        body |= {key: value for key, value in (("level", level), ("build", build)) if value}
        if verify:
            body["verify"] = [] if verify == ["auto"] else [_words(line) for line in verify]
        body["requirements"] = list(dict.fromkeys([*body["requirements"], *(requirement or [])]))
        body["keywords"] = list(dict.fromkeys([*body["keywords"], *(keyword or [])]))
        session.post("/repositories", body)
        found = session.get(f"/repositories/{name}")
    emit(found, as_json, _told)


def _told(settings: dict[str, Any]) -> str:
    lines = [f"{settings['name']}  {settings['level']}, branch {settings['default_branch']}, build {settings['build']}"]
    checks = [" ".join(command) for command in settings["verify"]] or ["found by its content"]
    lines += [f"  check: {check}" for check in checks]
    lines += [f"  requirement: {each}" for each in settings["requirements"]]
    lines += [f"  environment {each['name']}: {' '.join(each['command'])}" for each in settings["environments"]]
    return "\n".join(lines)


@app.command("list")
def list_repositories(as_person: As = "", as_json: Json = False) -> None:
    """List the repositories."""
    with connect(as_person) as session:
        found = session.get("/repositories")
    rows = [
        (each["name"], each["level"], each["default_branch"], " → ".join(each["environments"]) or "none")
        for each in found
    ]
    emit(found, as_json, lambda _: table(rows, ("repository", "level", "branch", "environments")))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestRefused("GL-CLI-003", f"{path} can't be used: {error}.", "name a readable TOML file.") from error


def _read_patch(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestRefused("GL-CLI-003", f"{path} can't be used: {error}.", "name a readable patch.") from error


def _words(line: str) -> list[str]:
    import shlex  # noqa: PLC0415 - keeps `--help` fast

    try:
        return shlex.split(line)
    except ValueError as error:
        raise RequestRefused("GL-CLI-004", f"{line!r} is no command line: {error}.", "mind the quotes.") from error


def _name_of(source: str) -> str:
    bare = source.partition("==")[0] if source.startswith("sdist:") else source
    last = bare.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1].removesuffix(".git").lower()
    return "".join(character if character.isalnum() or character in "._-" else "-" for character in last)
