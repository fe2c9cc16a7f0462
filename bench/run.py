"""Measures Greylag: each figure beside a floor or a peer of the same run. `bench/README.md` says how to read it.

python bench/run.py [--quick] [--only startup,task,…] [--json FILE]
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "src")]

from bench import (  # noqa: E402 - found only by the path above
    asking,
    enclosing,
    governing,
    mentions,
    replaying,
    scanning,
    startup,
    whole_task,
)
from bench.measuring import Figure, Machine  # noqa: E402 - the same

PARTS: dict[str, Callable[[Machine, bool], list[Figure]]] = {
    "startup": startup.measure, "task": whole_task.measure, "ledger": governing.measure_ledger,
    "decision": replaying.measure_path, "replay": replaying.measure_replay, "sandbox": enclosing.measure_sandbox,
    "gateway": enclosing.measure_gateway, "scanner": scanning.measure_scanning,
    "asking": asking.measure_asking, "mentions": mentions.measure_mentions,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure Greylag, each figure beside a floor of the same run.")
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it works, not how fast")
    parser.add_argument("--only", default="", help=f"some of {','.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    wanted = [name for name in given.only.split(",") if name] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there is {', '.join(PARTS)}")
    machine, figures = Machine(), []
    for name in wanted:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        figures += PARTS[name](machine, given.quick)
    print(told(machine, figures))
    if given.json:
        given.json.write_text(json.dumps(document(machine, figures, quick=given.quick), indent=2) + "\n")
    return 1 if any(machine.verdict(figure) == "broken" for figure in figures) else 0


def told(machine: Machine, figures: list[Figure]) -> str:
    """Return the figures as a table for people."""
    headings = ("figure", "median", "beside", "median", "added", "ratio", "promise")
    rows = [headings, *(_row(machine, figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headings))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("─" * width for width in widths))
    state = "quiet" if machine.quiet else "NOISY: no promise is called broken"
    lines.append(f"machine: {state} (the same work strayed by {machine.noise:.0%}, load {max(machine.loads):.1f})")
    return "\n".join(lines)


def _row(machine: Machine, figure: Figure) -> tuple[str, ...]:
    unit, has_floor = figure.unit, figure.floor_name != "none"
    ratio = figure.median / figure.floor_median if figure.floor_median else 0.0
    promise = f"≤ {figure.limit:g} {unit}: {machine.verdict(figure)}" if figure.limit is not None else ""
    return (
        figure.name, f"{figure.median:.4g} {unit}", figure.floor_name if has_floor else "",
        f"{figure.floor_median:.4g} {unit}" if has_floor else "",
        f"{figure.median - figure.floor_median:.4g} {unit}" if has_floor else "",
        f"{ratio:.2f}" if has_floor else "", promise,
    )  # fmt: skip


def document(machine: Machine, figures: list[Figure], *, quick: bool) -> dict[str, object]:
    """Return everything as plain values, with what it was measured on."""
    return {
        "schema_version": 1, "at": datetime.now(UTC).isoformat(timespec="seconds"), "quick": quick,
        "machine": {
            "system": platform.platform(), "processors": os.cpu_count(), "python": platform.python_version(),
            "noise": machine.noise, "crowded": machine.crowded, "quiet": machine.quiet, "loads": machine.loads,
        },
        "figures": [figure.record(machine.verdict(figure)) for figure in figures],
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
