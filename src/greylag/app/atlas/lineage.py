"""The lineage graph: which kinds of asset went by which stages to which targets."""

import math
from collections.abc import Iterator, Sequence

from greylag.app.atlas.drawing import frame, mark, text
from greylag.domain.stages import Stage
from greylag.governance.datamap import DECLARED, OBSERVED, UNKNOWN_PLACE, DataMap, Flow
from greylag.governance.facts import UNKNOWN

_MOST = 18
_WIDTH = 1000
_ROW = 52
_TOP = 64
_COLUMNS = (20, 420, 620)
_STAGES = tuple(str(stage) for stage in Stage)

Edge = tuple[str, str, int, int]  # from, to, permitted, refused


def lineage_svg(found: DataMap, *, alone: bool = True) -> str:
    """Return the flows of ``found`` as a graph in three layers: kinds of asset, stages, targets.

    A solid line was permitted, a dashed one refused, thicker is more. The mark beside a target says how sure its place
    is. At most 18 nodes stand in a layer; the rest are one node that says how many.
    """
    kinds = _heaviest([(flow.kind, flow) for flow in found.flows], "kinds")
    targets = _heaviest([(_target(flow), flow) for flow in found.flows], "targets")
    stages = {name: name for name in _STAGES if any(flow.stage == name for flow in found.flows)}
    into = _edges([(kinds[flow.kind], flow.stage, flow) for flow in found.flows if flow.stage in stages])
    out = _edges([(flow.stage, targets[_target(flow)], flow) for flow in found.flows if flow.stage in stages])
    layers = [list(dict.fromkeys(each.values())) for each in (kinds, stages, targets)]
    height = _TOP + _ROW * max(1, *(len(layer) for layer in layers)) + 12
    parts = [
        f'<rect class="sea" width="{_WIDTH}" height="{height}"/>',
        *(text(x, 36, words, "node") for x, words in zip(_COLUMNS, ("Assets", "Stages", "Targets"), strict=True)),
        *_lines(into, (_COLUMNS[0] + 190, _COLUMNS[1] - 10), (layers[0], layers[1])),
        *_lines(out, (_COLUMNS[1] + 120, _COLUMNS[2] - 10), (layers[1], layers[2])),
        *(_node(_COLUMNS[0], row, name, 16) for row, name in enumerate(layers[0])),
        *(_node(_COLUMNS[1], row, name, 12) for row, name in enumerate(layers[1])),
        *_targets(found, layers[2]),
    ]
    permitted, refused = sum(flow.permitted for flow in found.flows), sum(flow.refused for flow in found.flows)
    told = f"{permitted} hops permitted, {refused} refused, to {len(set(targets))} targets: " + ", ".join(layers[2])
    return frame((_WIDTH, height), ("How the data travelled", told), parts, alone=alone)


def _target(flow: Flow) -> str:
    return f"{flow.target.kind} {flow.target.name}"


def _heaviest(named: Sequence[tuple[str, Flow]], noun: str) -> dict[str, str]:
    """Return each name's node: itself for those with the most hops, one shared node for the rest."""
    weights: dict[str, int] = {}
    for name, flow in named:
        weights[name] = weights.get(name, 0) + flow.permitted + flow.refused
    ordered = sorted(weights, key=lambda name: (-weights[name], name))
    if len(ordered) <= _MOST:
        return {name: name for name in ordered}
    rest = f"… {len(ordered) - _MOST + 1} more {noun}"
    return {name: name if place < _MOST - 1 else rest for place, name in enumerate(ordered)}


def _edges(ends: Sequence[tuple[str, str, Flow]]) -> list[Edge]:
    counts: dict[tuple[str, str], list[int]] = {}
    for start, end, flow in ends:
        each = counts.setdefault((start, end), [0, 0])
        each[0] += flow.permitted
        each[1] += flow.refused
    return [(start, end, permitted, refused) for (start, end), (permitted, refused) in sorted(counts.items())]


def _middle(row: int) -> int:
    return _TOP + _ROW * row + 20


def _lines(edges: Sequence[Edge], across: tuple[int, int], layers: tuple[list[str], list[str]]) -> Iterator[str]:
    left, right = across
    for start, end, permitted, refused in edges:
        y1, y2 = _middle(layers[0].index(start)), _middle(layers[1].index(end))
        if permitted:
            width = min(8.0, 1.5 + math.log10(1 + permitted))
            yield f'<path class="flow" d="{_curve(left, y1, right, y2)}" stroke-width="{width:.1f}"/>'
        if refused:  # a little lower, so that both are seen where there are both
            yield f'<path class="refused" d="{_curve(left, y1 + 7, right, y2 + 7)}" stroke-width="2"/>'


def _curve(x1: int, y1: int, x2: int, y2: int) -> str:
    middle = (x1 + x2) // 2
    return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"


def _node(x: int, row: int, name: str, longest: int) -> str:
    return text(x, _middle(row) + 7, name or "(no name)", "node", longest=longest)


def _targets(found: DataMap, names: Sequence[str]) -> Iterator[str]:
    evidence: dict[str, str] = {}
    for each in found.located:
        name = f"{each.target.kind} {each.target.name}"
        ranks = (UNKNOWN_PLACE, DECLARED, OBSERVED)
        evidence[name] = min(evidence.get(name, OBSERVED), each.evidence, key=ranks.index)
    places = {_target(flow): ", ".join(flow.codes[:4]) for flow in found.flows}
    for row, name in enumerate(names):
        y = _middle(row)
        if name in evidence:
            yield mark(_COLUMNS[2] + 6, y, evidence[name])
        yield text(_COLUMNS[2] + 24, y, name, "node", longest=30)
        where = places.get(name, "")
        yield text(_COLUMNS[2] + 24, y + 20, where or UNKNOWN, "quiet", longest=34)
