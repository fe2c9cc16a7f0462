"""``greylag evidence …``."""

from pathlib import Path
from typing import Annotated

import typer

from greylag.app.cli.context import connect
from greylag.app.client.console import As, Json, TaskArgument, emit

app = typer.Typer(no_args_is_help=True)


@app.command()
def show(
    task: TaskArgument,
    output: Annotated[Path | None, typer.Option(help="Also write the signed envelope to this file.")] = None,
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Show the signed evidence of a task's change: what was asked, run, checked, decided and built."""
    from greylag.app.audit import open_evidence  # noqa: PLC0415 - keeps `--help` fast

    with connect(as_person) as session:
        envelope = session.fetch(f"/tasks/{task}/content/evidence")
        key = bytes.fromhex(session.get("/ledger/checkpoint")["public_key"])
    if output is not None:
        output.write_bytes(envelope)
    emit(open_evidence(envelope, key), as_json, _told)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An envelope written by `evidence show --output`.")],
    key: Annotated[str, typer.Option(help="The platform's public key, in hex.")],
    as_json: Json = False,
) -> None:
    """Check an envelope offline; needs only the file and the public key."""
    from greylag.app.audit import open_evidence_file  # noqa: PLC0415 - keeps `--help` fast

    emit(open_evidence_file(file, key), as_json, _told)


def _told(statement: dict[str, object]) -> str:
    lines = ["signature: good"]
    predicate = statement.get("predicate")
    if isinstance(predicate, dict):
        lines += [f"{name}: {value}" for name, value in sorted(predicate.items()) if not isinstance(value, list | dict)]
        lines += [f"{name}: {len(value)}" for name, value in sorted(predicate.items()) if isinstance(value, list)]
    return "\n".join(lines)
