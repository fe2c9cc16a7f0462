"""The policy part of the JSON API. Reading rules and asking about flows moves nothing and needs no role."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from greylag.app.explaining import recorded_document
from greylag.app.web.api import Who, Wired
from greylag.app.web.policy import documents as doc
from greylag.app.web.policy.asking import described, recorded, task_decisions
from greylag.governance.explanation import as_json, as_text, matrix

router = APIRouter(prefix="/api/v1")


@router.get("/policy")
def policy(platform: Wired, who: Who) -> dict[str, Any]:
    """Return which packs, rules and openings decide now, and how many facts are stale."""
    return doc.overview(platform)


@router.get("/policy/matrix")
def policy_matrix(platform: Wired, who: Who) -> list[dict[str, Any]]:
    """Return which rules apply at each of the twelve stages."""
    return doc.matrix_document(matrix(platform.policy.policy.packs))


@router.get("/policy/explain")
def policy_explain(platform: Wired, who: Who, asked: Annotated[doc.FlowIn, Query()]) -> dict[str, Any]:
    """Say how a flow would be decided that has not happened, and what would turn the answer."""
    found = described(platform, asked)
    return {"flow": doc.flow_document(asked.flow()), "explanation": as_json(found), "text": as_text(found)}


@router.get("/policy/decisions/{decision_id}")
def policy_decision(decision_id: str, platform: Wired, who: Who) -> dict[str, Any]:
    """Explain a recorded decision under the world it was made in."""
    return recorded_document(recorded(platform, decision_id))


@router.get("/policy/tasks/{task_id}")
def policy_task(task_id: str, platform: Wired, who: Who) -> list[dict[str, Any]]:
    """List the decisions about a task in order, denials with their explanation in one line."""
    return task_decisions(platform, task_id)


@router.get("/facts")
def facts(
    platform: Wired,
    who: Who,
    search: Annotated[str, Query(max_length=200)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> dict[str, Any]:
    """List fact rows by name: what each says, on what basis, how sure, since when."""
    return doc.rows_document(platform.policy.policy.book, platform.policy.facts_today(), search, page)
