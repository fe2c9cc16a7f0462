"""From a request of the web to an explanation: the same for pages and API."""

from collections.abc import Mapping, Sequence
from typing import Any

from greylag.app.explaining import Explainer, Recorded, decisions_about, find_decision, flow_question
from greylag.app.platform import Platform
from greylag.app.web.policy.documents import FlowIn
from greylag.domain.errors import GreylagError
from greylag.governance.decision import decision_from
from greylag.governance.explanation import Explanation, explain, one_line

#: Denials of one task for which the smallest change is looked for; the others are a click away.
_EXPLAINED_AT_ONCE = 20


def recorded(platform: Platform, decision_id: str) -> Recorded:
    """Return a recorded decision explained. Raises as `find_decision` and `decision_from`."""
    decision = find_decision(platform.cell.ledger, decision_id)
    return Explainer(platform.policy.policy, platform.home).explain(decision)


def described(platform: Platform, asked: FlowIn) -> Explanation:
    """Return how a flow would be decided. Raises RequestRefused ``GL-EXPLAIN-002``, ``GL-REPO-001``."""
    name = asked.repository.strip()
    floor = platform.directory.repository(name).label if name else None
    today = platform.cell.clock.now().date()
    question = flow_question(asked.flow(), platform.cell.region, today, floor)
    return explain(platform.policy.policy, question)


def task_decisions(platform: Platform, prefix: str) -> list[dict[str, Any]]:
    """Return the decisions about one task in order, the first denials with their explanation in one line.

    Raises RequestRefused ``GL-TASK-001`` or ``-002`` where ``prefix`` names none or several.
    """
    task = platform.cell.events.find(prefix)
    found = decisions_about(platform.cell.ledger, task)
    left, explainer = _EXPLAINED_AT_ONCE, Explainer(platform.policy.policy, platform.home)
    lines = []
    for entry in found:
        line = ""
        if not entry.get("permitted") and left:
            left -= 1
            line = _line(explainer, entry)
        lines.append(_brief(entry, line))
    return lines


def _line(explainer: Explainer, entry: Mapping[str, Any]) -> str:
    try:
        return one_line(explainer.explain(decision_from(entry)).explanation)
    except GreylagError as error:
        return f"it can't be explained: {error.message}"


def _brief(entry: Mapping[str, Any], line: str) -> dict[str, Any]:
    asset, target = _table(entry, "asset"), _table(entry, "target")
    return {
        "decision_id": str(entry.get("decision_id", "")), "at": str(entry.get("at", "")),
        "stage": str(entry.get("stage", "")), "permitted": entry.get("permitted") is True,
        "asset": str(asset.get("kind", "")), "level": str(asset.get("level", "")),
        "target_kind": str(target.get("kind", "")), "target": str(target.get("name", "")),
        "rules": _texts(entry.get("rules")), "obligations": _texts(entry.get("obligations")),
        "supersedes": str(entry.get("supersedes", "")), "one_line": line,
    }  # fmt: skip


def _table(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, Mapping) else {}


def _texts(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, Sequence) and not isinstance(value, str) else []
