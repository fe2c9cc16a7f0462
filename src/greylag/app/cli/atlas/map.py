"""``greylag map …``. Needs no running platform: only the ledger's files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from greylag.app.cli.context import chosen_home
from greylag.app.client.console import Json, emit, note, table

if TYPE_CHECKING:
    from greylag.governance.datamap import DataMap

app = typer.Typer(no_args_is_help=True)

_SHOWN = 60

RepositoryOption = Annotated[str, typer.Option("--repository", help="Only what belongs to this repository.")]
TaskOption = Annotated[str, typer.Option("--task", help="Only what belongs to this task.")]
PersonOption = Annotated[
    str, typer.Option("--person", metavar="WHO", help="Only what names or came from somebody: name, e-mail or mark.")
]


def progress(done: int, total: int) -> None:
    """Say how far the ledger is read, where that takes a while."""
    if total > 50_000 and done % 50_000 == 0:
        note(f"read {done} of {total} entries …")


@app.callback()
def describe() -> None:
    """Where data is, who can read it, and how it got there."""


@app.command()
def show(
    repository: RepositoryOption = "",
    task: TaskOption = "",
    person: PersonOption = "",
    svg: Annotated[Path | None, typer.Option(help="Also write a world map (SVG) to this file.")] = None,
    lineage: Annotated[Path | None, typer.Option(help="Also write a lineage graph (SVG) to this file.")] = None,
    as_json: Json = False,
) -> None:
    """Show where everything is, by the ledger and the facts: observed, declared, or unknown."""
    from greylag.app.atlas import lineage_svg, world_svg  # noqa: PLC0415 - keeps `--help` fast
    from greylag.app.atlas.reading import Wanted, map_of_install  # noqa: PLC0415 - keeps `--help` fast
    from greylag.governance.datamap import map_document  # noqa: PLC0415 - keeps `--help` fast

    found = map_of_install(chosen_home(), Wanted(repository, task, person), progress)
    if svg is not None:
        svg.write_text(world_svg(found), encoding="utf-8")
    if lineage is not None:
        lineage.write_text(lineage_svg(found), encoding="utf-8")
    emit(map_document(found) if as_json else None, as_json, lambda _: _told(found))


def _told(found: "DataMap") -> str:
    share = found.coverage
    lines = [
        f"{share.percent} % of {share.assets} assets at a place that was observed"
        f" ({share.observed} observed, {share.declared} only declared, {share.unknown} unknown)",
        "",
        table(
            [
                (
                    each.asset.kind, f"{each.target.kind} {each.target.name}", ", ".join(each.standing.residency[:4]),
                    _evidence(each.evidence, each.contradicted, each.erased), each.last_seen[:19], each.asset.task_id,
                )
                for each in found.located[-_SHOWN:]
            ],
            ("what", "where", "jurisdiction", "how sure", "last", "task"),
        ),
        "",
        table([(each.kind, each.name, each.why) for each in found.readers[:_SHOWN]], ("who", "name", "why")),
    ]  # fmt: skip
    hidden = max(0, len(found.located) - _SHOWN) + found.gaps.more_located
    if hidden:
        lines.append(f"{hidden} more copies; `--json` shows more, `--repository`, `--task` or `--person` narrow it")
    refused = sum(flow.refused for flow in found.flows)
    lines += ["", f"{sum(flow.permitted for flow in found.flows)} hops permitted, {refused} refused"]
    return "\n".join([*lines, *_left_out(found)])


def _evidence(evidence: str, contradicted: bool, erased: str) -> str:
    words = "OBSERVED ELSEWHERE" if contradicted else evidence
    return f"{words}, erased ({erased})" if erased else words


def _left_out(found: "DataMap") -> list[str]:
    gaps = found.gaps
    counts = (
        (gaps.unread, "ledger entries could not be read"),
        (gaps.untracked, "decisions are only counted as hops"),
        (gaps.unmatched, "outcomes belong to no decision that is remembered"),
        (gaps.crowded, "assets name more people than is marked, and may name them"),
    )
    return [f"LEFT OUT: {count} {words}" for count, words in counts if count]
