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
    rows = _grouped(found)
    lines = [
        f"{share.percent} % of {share.assets} assets at a place that was observed"
        f" ({share.observed} observed, {share.declared} only declared, {share.unknown} unknown)",
        "",
        table(rows[:_SHOWN], ("what", "copies", "where", "place", "jurisdiction", "how sure", "last")),
        "",
        table([(each.kind, each.name, each.why) for each in found.readers[:_SHOWN]], ("who", "name", "why")),
    ]  # fmt: skip
    hidden = max(0, len(rows) - _SHOWN), max(0, len(found.readers) - _SHOWN)
    if any(hidden):
        lines.append(f"{hidden[0]} more kinds of copies and {hidden[1]} more readers: `--json` shows them")
    refused = sum(flow.refused for flow in found.flows)
    lines += ["", f"{sum(flow.permitted for flow in found.flows)} hops permitted, {refused} refused"]
    return "\n".join([*lines, *_left_out(found)])


def _grouped(found: "DataMap") -> list[tuple[str, ...]]:
    """Return rows of copies of one kind at one target, the most first."""
    groups: dict[tuple[str, ...], tuple[int, str]] = {}
    for each in found.located:
        standing = each.standing
        key = (
            each.asset.kind, f"{each.target.kind} {each.target.name}", ", ".join(standing.places[:3]),
            _few(standing.residency), _evidence(each.evidence, each.contradicted, each.erased),
        )  # fmt: skip
        count, last = groups.get(key, (0, ""))
        groups[key] = (count + 1, max(last, each.last_seen))
    ordered = sorted(groups.items(), key=lambda group: (-group[1][0], group[0]))
    return [(key[0], str(count), *key[1:], last[:19]) for key, (count, last) in ordered]


def _few(codes: tuple[str, ...]) -> str:
    return ", ".join(codes[:4]) + (f" and {len(codes) - 4} more" if len(codes) > 4 else "")


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
        (gaps.more_located, "copies, older than those shown; `--repository`, `--task` or `--person` narrow it"),
    )
    lines = [f"LEFT OUT: {count} {words}" for count, words in counts if count]
    if any(each.standing.own and "unknown" in each.standing.residency for each in found.located):
        lines.append("The jurisdiction of an own region is not said: set `[region] jurisdiction` in greylag.toml.")
    return lines
