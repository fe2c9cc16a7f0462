"""``greylag ledger …``. Verifying needs no running platform: only the files and the public key."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from greylag.app.cli.context import chosen_home, connect
from greylag.app.client.console import As, Json, emit, table

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(as_json: Json = False) -> None:
    """Recompute the whole ledger and check it against every signed checkpoint; finds any change."""
    from greylag.app.audit import verify_ledger  # noqa: PLC0415 - keeps `--help` fast

    document = verify_ledger(chosen_home())
    emit(document, as_json, _told)
    raise typer.Exit(0 if document["intact"] else 1)


@app.command()
def show(
    start: Annotated[int, typer.Option(min=0, help="First entry.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    task: Annotated[str, typer.Option(help="Only entries of this task.")] = "",
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Show entries: what was decided, by which rules, for what towards where."""
    with connect(as_person) as session:
        found = session.get("/ledger/entries", start=start, limit=limit)
    entries = [{"index": each["index"], **json.loads(each["body"])} for each in found]
    wanted = [entry for entry in entries if not task or str(entry.get("task_id", "")).startswith(task)]
    headings = ("#", "stage", "verdict", "what", "where to", "rules")
    emit(wanted, as_json, lambda _: table([_row(entry) for entry in wanted], headings))


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    verdict = "permit" if entry.get("permitted") else str(entry.get("outcome", "deny"))
    asset, target = entry.get("asset", {}), entry.get("target", {})
    rules = ", ".join(entry.get("rules", []))
    return (
        str(entry["index"]),
        str(entry.get("stage", "")),
        verdict,
        asset.get("kind", ""),
        target.get("name", ""),
        rules,
    )


@app.command()
def export(folder: Annotated[Path, typer.Argument(help="A new folder for the files.")], as_json: Json = False) -> None:
    """Write entries, checkpoints and public key as plain files, for an auditor without this platform."""
    from greylag.app.audit import export_ledger  # noqa: PLC0415 - keeps `--help` fast

    emit(export_ledger(chosen_home(), folder), as_json, lambda each: f"{each['entries']} entries in {each['folder']}")


def _told(document: dict[str, object]) -> str:
    if document["intact"]:
        return f"intact: {document['entries']} entries, {document['checkpoints']} checkpoints, root {document['root']}"
    return f"NOT INTACT at entry {document['first_bad']}: {document['problem']}"
