"""What the policy pages and their API show, as plain values."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from greylag.app.explaining import Flow
from greylag.app.platform import Platform
from greylag.governance.explanation import StageRules
from greylag.governance.explanation.evidence import describe
from greylag.governance.facts import FactBase, FactBook, Opening, Row, is_stale, stale
from greylag.governance.policy import Pack

ROWS_ON_A_PAGE = 50
_MAX_VALUES = 64
_PARTED = re.compile(r"[,\s]+")

Words = Annotated[str, Field(max_length=4000)]
Name = Annotated[str, Field(max_length=200)]


class FlowIn(BaseModel):
    """A flow that has not happened. Lists are words parted by commas or spaces; empty means the usual."""

    model_config = ConfigDict(extra="forbid")

    stage: Name = ""
    asset: Name = ""
    level: Name = ""
    classes: Words = ""
    origins: Words = ""
    surfaces: Words = ""
    target_kind: Name = ""
    target: Annotated[str, Field(max_length=1024)] = ""
    principal: Name = ""
    repository: Name = ""
    applied: Words = ""
    approvals: Words = ""
    at: Name = ""

    def flow(self) -> Flow:
        """Return the flow it describes."""
        return Flow(
            stage=self.stage.strip(), target_kind=self.target_kind.strip(), target=self.target.strip(),
            asset=self.asset.strip(), level=self.level.strip(), classes=_several(self.classes),
            origins=_several(self.origins), surfaces=_several(self.surfaces), principal=self.principal.strip(),
            at=self.at.strip(), applied=_several(self.applied), approvals=_several(self.approvals),
        )  # fmt: skip

    @property
    def empty(self) -> bool:
        """Whether nothing was said yet."""
        return not any((self.stage, self.target_kind, self.target))


def _several(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in _PARTED.split(text) if word))[: _MAX_VALUES + 1]


def pack_document(pack: Pack) -> dict[str, Any]:
    """Return a pack with its rules."""
    return {
        "name": pack.name, "title": pack.title, "version": pack.version, "status": pack.status, "kind": pack.kind,
        "regimes": list(pack.regimes), "requires": list(pack.requires),
        "rules": [
            {
                "rule_id": rule.rule_id, "effect": rule.effect, "clause": rule.clause, "reason": rule.reason,
                "laws": list(rule.law), "zones": list(rule.zones),
                "obligations": [str(each) for each in rule.obligations],
            }
            for rule in pack.rules
        ],
    }  # fmt: skip


def overview(platform: Platform) -> dict[str, Any]:
    """Return which packs, openings and facts decide now."""
    policy, today = platform.policy.policy, platform.cell.clock.now().date()
    facts = policy.facts_on(today)
    openings = [row for row in facts.rows if isinstance(row, Opening)]
    return {
        "version": policy.version, "home_region": policy.home_region, "problem": platform.policy.problem,
        "packs": [pack_document(pack) for pack in policy.packs],
        "openings": [
            {"kind": row.kind, "name": row.name, "max_level": row.max_level, "source": row.basis.source,
             "since": _day(row.basis.valid_from or row.basis.retrieved), "note": row.basis.note}
            for row in openings
        ],
        "rows": len(facts.rows), "stale": len(stale(policy.book, today)),
    }  # fmt: skip


def matrix_document(found: Sequence[StageRules]) -> list[dict[str, Any]]:
    """Return which rules apply at each stage."""
    return [
        {
            "stage": str(each.stage), "permits": list(each.permits),
            "forbids": [{"pack": pack, "rules": list(ids)} for pack, ids in each.forbids],
        }
        for each in found
    ]  # fmt: skip


def rows_document(book: FactBook, facts: FactBase, search: str, page: int) -> dict[str, Any]:
    """Return one page of the rows whose name holds ``search``, each as it stands today."""
    wanted = search.strip().lower()
    names = [name for name in book.names() if wanted in name.lower()]
    start = (page - 1) * ROWS_ON_A_PAGE
    shown = names[start : start + ROWS_ON_A_PAGE]
    return {
        "search": search, "page": page, "pages": max(1, -(-len(names) // ROWS_ON_A_PAGE)), "total": len(names),
        "rows": [_row(name, book.versions(name), facts) for name in shown],
    }  # fmt: skip


def _row(name: str, versions: Sequence[Row], facts: FactBase) -> dict[str, Any]:
    today = facts.row(name)
    row = today or next((each for each in versions if each.basis.holds(facts.valid, facts.known)), versions[0])
    basis = row.basis
    return {
        "row": name, "says": describe(row), "counts": today is not None, "status": basis.status,
        "certainty": basis.certainty, "source": basis.source, "retrieved": _day(basis.retrieved),
        "valid_from": _day(basis.valid_from), "valid_to": _day(basis.valid_to), "review_by": _day(basis.review_by),
        "stale": is_stale(basis, facts.known), "versions": len(versions), "note": basis.note,
    }  # fmt: skip


def _day(day: date | None) -> str:
    return day.isoformat() if day is not None else ""


def flow_document(flow: Flow) -> dict[str, Any]:
    """Return what was asked about, for programs."""
    return asdict(flow)
