"""``greylag policy …``: which rules decide, whether they do what their examples say, and why a decision is as it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from greylag.app.cli.context import chosen_home, connect
from greylag.app.client.console import As, Json, emit, table
from greylag.domain.errors import RequestRefused

if TYPE_CHECKING:
    from greylag.app.install.law.rulebook import Checked, Shifted
    from greylag.governance.policy import Pack

app = typer.Typer(no_args_is_help=True)

Several = Annotated[list[str] | None, typer.Option(help="May be given again.")]


@app.command("list")
def list_packs(as_json: Json = False) -> None:
    """List the packs that came with this program, which of them decide here, and their rules."""
    from greylag.app.install.law.rulebook import active_names, shipped_packs  # noqa: PLC0415 - keeps `--help` fast

    active = active_names(_settings())
    found = [_pack(pack, active) for pack in shipped_packs()]
    rows = [
        (
            each["name"], each["version"], "decides here" if each["active"] else each["status"], each["kind"],
            ", ".join(each["regimes"]) or "-", str(len(each["rules"])),
        )
        for each in found
    ]  # fmt: skip
    emit(found, as_json, lambda _: table(rows, ("pack", "version", "here", "kind", "regimes", "rules")))


@app.command()
def show(rule: Annotated[str, typer.Argument(metavar="RULE", help="A rule's id.")], as_json: Json = False) -> None:
    """Show one rule: its text, its clause, the law it rests on with status and certainty, and its remedies."""
    from greylag.app.install.law.rulebook import rule_document  # noqa: PLC0415 - keeps `--help` fast

    emit(rule_document(_settings(), _home(), rule), as_json, _rule)


@app.command("test")
def check(
    packs: Annotated[
        list[str] | None, typer.Argument(metavar="[PACK|DIR]", help="Packs by name, or folders of your own; none: all.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask every example of the packs; exit 1 where one is answered otherwise than it says, or a rule has none."""
    from greylag.app.install.law.rulebook import check_packs  # noqa: PLC0415 - keeps `--help` fast

    found = check_packs(packs or [])
    document = [{"pack": each.pack, "examples": each.examples, "failures": list(each.failures)} for each in found]
    emit(document, as_json, lambda _: "\n".join(line for each in found for line in _checked(each)))
    if any(each.failures for each in found):
        raise typer.Exit(1)


@app.command()
def moves(
    row: Annotated[str, typer.Option(help="The row that would be otherwise, such as `adequacy/eu-us-dpf`.")],
    status: Annotated[str, typer.Option(help="The status it would have: annulled, suspended, in_force …")] = "",
    remove: Annotated[bool, typer.Option("--remove", help="The row would not be there at all.")] = False,
    as_json: Json = False,
) -> None:
    """List the examples of all packs whose answer would be another one if one fact were otherwise."""
    from greylag.app.install.law.rulebook import moved_by  # noqa: PLC0415 - keeps `--help` fast

    if bool(status) == remove:
        raise RequestRefused("GL-EXPLAIN-006", "say either `--status STATUS` or `--remove`.", "give one of the two.")
    found = moved_by(row, status)
    emit(
        [_shifted_document(each) for each in found], as_json, lambda _: "\n".join(map(_shifted, found)) or "none moves"
    )


@app.command()
def matrix(as_json: Json = False) -> None:
    """Show which rules apply at each of the twelve stages."""
    from greylag.app.install.law.rulebook import stage_rules  # noqa: PLC0415 - keeps `--help` fast

    found = stage_rules(_settings())
    emit(found, as_json, lambda _: "\n".join(_stage(each) for each in found))


@app.command()
def explain(  # noqa: PLR0913 - each is an option of the command
    what: Annotated[
        str, typer.Argument(metavar="[TASK|DECISION]", help="A task or a decision of the ledger; none: a flow.")
    ] = "",
    stage: Annotated[str, typer.Option(help="The stage of a flow that has not happened.")] = "",
    asset: Annotated[str, typer.Option(metavar="KIND", help="What would move: prompt, diff, card …")] = "",
    level: Annotated[str, typer.Option(help="public, internal, confidential or restricted.")] = "",
    data_class: Annotated[list[str] | None, typer.Option("--class", help="A class; may be given again.")] = None,
    origin: Annotated[list[str] | None, typer.Option(help="Where the data is from; may be given again.")] = None,
    surface: Annotated[list[str] | None, typer.Option(help="What travels along; may be given again.")] = None,
    target_kind: Annotated[str, typer.Option(help="endpoint, chat, forge, host, store …")] = "endpoint",
    target: Annotated[str, typer.Option("--target", "--endpoint", help="Its name in the facts.")] = "",
    principal: Annotated[str, typer.Option(help="person:NAME, agent:NAME or platform:NAME.")] = "",
    applied: Annotated[list[str] | None, typer.Option(help="What was applied; may be given again.")] = None,
    approved: Annotated[list[str] | None, typer.Option(help="A role that said yes; may be given again.")] = None,
    repository: Annotated[str, typer.Option(help="The repository whose label the data has at least.")] = "",
    at: Annotated[str, typer.Option(metavar="DAY", help="The day it is asked for (default: today).")] = "",
    as_person: As = "",
    as_json: Json = False,
) -> None:
    """Say why: for a recorded decision, for all of a task, or for a flow that has not happened (`--stage …`)."""
    if bool(what) == bool(stage):
        raise RequestRefused(
            "GL-EXPLAIN-006", "say either a task or decision, or `--stage` with what would move where.",
            "for example: `greylag policy explain --stage prompt --level internal --endpoint anthropic`.",
        )  # fmt: skip
    if what and not (what.isascii() and what.replace("_", "").isalnum()):
        raise RequestRefused("GL-EXPLAIN-005", f"{what[:60]!r} is no id.", "find it with `greylag ledger show`.")
    flow = {
        "stage": stage, "asset": asset, "level": level, "classes": ",".join(data_class or []),
        "origins": ",".join(origin or []), "surfaces": ",".join(surface or []), "target_kind": target_kind,
        "target": target, "principal": principal, "applied": ",".join(applied or []),
        "approvals": ",".join(approved or []), "repository": repository, "at": at,
    }  # fmt: skip
    with connect(as_person) as session:
        if stage:
            found = session.get("/policy/explain", **{name: value for name, value in flow.items() if value})
        elif what.startswith("dec_"):
            found = session.get(f"/policy/decisions/{what}")
        else:
            found = session.get(f"/policy/tasks/{what}")
    emit(found, as_json, _task if isinstance(found, list) else _explained)


def _explained(document: dict[str, Any]) -> str:
    notes = "".join(f"\nNOTE: {note}" for note in document.get("notes", []))
    kept = "\nAsked again in the world it was recorded in: the same answer." if document.get("reproduced") else ""
    return f"{document['text']}{kept}{notes}"


def _task(found: list[dict[str, Any]]) -> str:
    lines = []
    for each in found:
        verdict = "permit" if each["permitted"] else "DENY"
        lines.append(
            f"{each['decision_id']}  {verdict:<6}  {each['stage']:<9}  {each['asset']} ({each['level']}) to"
            f" {each['target_kind']} {each['target']}: {', '.join(each['rules']) or 'no rule permits it'}"
        )
        if each["one_line"]:
            lines.append(f"    {each['one_line']}")
    return "\n".join([*lines, "", "why: greylag policy explain DECISION"]) if lines else "no decision yet"


def _pack(pack: "Pack", active: frozenset[str]) -> dict[str, Any]:
    return {
        "name": pack.name, "title": pack.title, "version": pack.version, "status": pack.status, "kind": pack.kind,
        "active": pack.name in active, "regimes": list(pack.regimes), "requires": list(pack.requires),
        "rules": [rule.rule_id for rule in pack.rules],
    }  # fmt: skip


def _rule(found: dict[str, Any]) -> str:
    lines = [f"{found['rule_id']}  ({found['effect']}, pack {found['pack']})", f"  {found['reason']}"]
    lines += [f"  clause: {found['clause']}"] if found["clause"] else []
    lines += [f"  stages: {', '.join(found['stages'])}"]
    lines += [f"  stands back once discharged: {', '.join(found['obligations'])}"] if found["obligations"] else []
    for law in found["laws"]:
        lines.append(f"  law: {law['row']}: {law['says']}")
        lines.append(f"    {law['status'] or 'not there'}, certainty {law['certainty']}; {law['source']}")
    lines += [f"  remedy: {each}" for each in found["remedies"]]
    lines += [f"  no remedy: {found['no_remedy']}"] if found["no_remedy"] else []
    return "\n".join([*lines, "", found["text"]])


def _checked(found: "Checked") -> list[str]:
    if not found.failures:
        return [f"✓ {found.pack}: {found.examples} examples"]
    return [
        f"✗ {found.pack}: {len(found.failures)} of {found.examples} examples",
        *(f"    {e}" for e in found.failures),
    ]


def _shifted(found: "Shifted") -> str:
    return f"{found.pack}: {found.title}\n    {found.before} → {found.after}"


def _shifted_document(found: "Shifted") -> dict[str, str]:
    return {"pack": found.pack, "example": found.title, "before": found.before, "after": found.after}


def _stage(found: dict[str, Any]) -> str:
    forbids = "".join(f"\n    {each['pack']}: {', '.join(each['rules'])}" for each in found["forbids"])
    return f"{found['stage']}\n  permits: {', '.join(found['permits']) or 'none'}\n  forbids:{forbids or ' none'}"


def _home() -> Path:
    from greylag.app.settings import home_folder  # noqa: PLC0415 - keeps `--help` fast

    return home_folder(chosen_home())


def _settings() -> Any:
    from greylag.app.settings import load_settings  # noqa: PLC0415 - keeps `--help` fast

    return load_settings(_home())
