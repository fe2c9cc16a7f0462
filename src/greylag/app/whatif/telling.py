"""Reports and matrices in words for a terminal. JSON says more: every flow, every cell."""

from collections.abc import Mapping, Sequence
from typing import Any

from greylag.app.client.console import table

SHOWN_FLOWS = 20
SHOWN_NAMES = 8
SHOWN_LIVE = 20
_GROUPS = ("law", "repository", "owner", "target")
_NAME, _WHY = 46, 200


def told_report(document: Mapping[str, Any]) -> str:
    """Return a report in words: counts, groups, flows with their fallbacks, what is live."""
    drill, denied, allowed = document["drill"], document["newly_denied"], document["newly_allowed"]
    worlds = "1 world" if document["worlds"] == 1 else f"{document['worlds']} worlds"
    lines = [f"{drill['title']} ({drill['status']})"]
    lines += [f"  {line}" for line in drill["note"].strip().splitlines()]
    lines += [
        "",
        f"{document['decisions']} recorded decisions came out as recorded in {worlds}; asked again under the drill:",
        f"  {denied} newly denied, {allowed} newly allowed, {document['still_permitted']} still permitted,"
        f" {document['still_denied']} still denied ({document['for_other_reasons']} of the unchanged for other rules)",
        f"  {document['tasks']} tasks concerned",
    ]
    if document["changed"]["weakened"]:
        lines.append(f"  lose a part of their places and go on: {_named(document['changed']['weakened'])}")
    if denied + allowed:
        lines += ["", *_groups(document["by"]), *_flows(document), *_cost(document["cost"])]
    return "\n".join([*lines, "", *_live(document)])


def told_matrix(document: Mapping[str, Any]) -> str:
    """Return a matrix in words: one block a label, one line a stage, targets by answer."""
    lines = []
    for number, label in enumerate(document["labels"]):
        lines.append(_label(label))
        cells = [cell for cell in document["cells"] if cell["label"] == number]
        for stage in dict.fromkeys(cell["stage"] for cell in cells):
            here = [cell for cell in cells if cell["stage"] == stage]
            for answer in ("permit", "until", "deny"):
                names = [_cell(cell) for cell in here if cell["answer"] == answer]
                if names:
                    lines.append(f"  {stage:<10} {answer:<7} {', '.join(names)}")
        lines.append("")
    moved = sum(1 for cell in document["cells"] if cell["after"] and cell["after"] != cell["answer"])
    if document["drill"]:
        lines.append(f"{moved} answers change under `{document['drill']}`: shown as `name → answer`")
    for what in ("labels", "cells"):
        if left := document[f"{what}_left_out"]:
            lines.append(f"{left} more {what} are left out")
    return "\n".join(lines).rstrip()


def told_drills(drills: Sequence[Mapping[str, Any]]) -> str:
    """Return the list of drills."""
    rows = [(each["name"], each["status"], each["title"]) for each in drills]
    return table(rows, ("drill", "status", "what if"))


def _groups(by: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    lines: list[str] = []
    for group in _GROUPS:
        rows = [
            (_cut(each["name"] or "(none)"), str(each["newly_denied"]), str(each["newly_allowed"]))
            for each in by[group][:SHOWN_NAMES]
        ]
        lines += [*table(rows, (f"by {group}", "denied", "allowed")).splitlines()]
        if len(by[group]) > SHOWN_NAMES:
            lines.append(f"… and {len(by[group]) - SHOWN_NAMES} more")
        lines.append("")
    return lines


def _flows(document: Mapping[str, Any]) -> list[str]:
    flows = document["flows"]
    lines = ["flows that flip:"]
    for flow in flows[:SHOWN_FLOWS]:
        sign = "-" if flow["way"] == "newly_denied" else "+"
        where = f"{flow['target_kind']} {flow['target']}"
        what = f"{flow['asset']} of {flow['repository'] or 'no repository'}, {_label(flow['label'])}"
        lines.append(f"{sign} {flow['stage']} to {where}: {flow['decisions']}, {flow['tasks']} tasks; {what}")
        lines.append(
            f"    {'now' if sign == '-' else 'no longer'}: {', '.join(flow['rules'])}: {_cut(flow['why'], _WHY)}"
        )
        if flow["because"]:
            lines.append(f"    rests on: {_named(flow['because'])}")
        if flow["fallback"] is not None:
            lines.append(f"    fallback: {_fallback(flow['fallback'])}")
    left = len(flows) - SHOWN_FLOWS
    if left > 0:
        lines.append(f"… and {left} more flows; `--json` has them")
    if document["flows_left_out"]:
        lines.append(f"… and {document['flows_left_out']} decisions of still other flows, counted above")
    return [*lines, ""]


def _fallback(fallback: Mapping[str, Any]) -> str:
    ways = [
        f"{each['name']} (price {each['price_permille'] / 1000:g}, certainty {each['certainty']})"
        for each in fallback["targets"]
    ]
    if fallback["obligations"]:
        ways.append(f"{'or ' if ways else ''}after: {', '.join(fallback['obligations'])}")
    return ", ".join(ways) or f"none: {fallback['none_because']}"


def _cost(cost: Mapping[str, Any]) -> list[str]:
    if not cost["decisions"]:
        return []
    line = f"model calls concerned: {cost['decisions']} of {cost['tasks']} tasks"
    if cost["with_fallback"]:
        before, after = cost["price_permille"] / 1000, cost["fallback_price_permille"] / 1000
        line += f"; {cost['with_fallback']} have a fallback, at {after:g} in place of {before:g} times a list price"
    if cost["without_fallback"]:
        line += f"; {cost['without_fallback']} have none"
    return [line]


def _live(document: Mapping[str, Any]) -> list[str]:
    live = document["live"]
    affected = live["affected"]
    if not affected:
        return [f"live as of {document['asked_as_of']}: {live['asked']} looked at, none concerned"]
    lines = [f"live as of {document['asked_as_of']}, refused under the drill:"]
    for each in affected[:SHOWN_LIVE]:
        where = f"{each['stage']} to {each['target_kind']} {each['target']}"
        lines.append(f"- {each['kind']} {each['name']} ({each['state']}): {where}: {each['why']}")
        lines.append(f"    fallback: {_fallback(each['fallback'])}")
    if len(affected) > SHOWN_LIVE:
        lines.append(f"… and {len(affected) - SHOWN_LIVE} more; `--json` has them")
    return lines


def _label(label: Mapping[str, Any]) -> str:
    parts = [label["level"], *label["classes"]]
    return " ".join(parts) + (f" from {', '.join(label['origins'])}" if label["origins"] else "")


def _cell(cell: Mapping[str, Any]) -> str:
    changed = f" → {cell['after']}" if cell["after"] and cell["after"] != cell["answer"] else ""
    asked = f" ({', '.join(cell['obligations'])})" if cell["answer"] == "until" else ""
    return f"{cell['target']}{asked}{changed}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return ", ".join(names[:SHOWN_NAMES]) + more


def _cut(text: str, most: int = _NAME) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
