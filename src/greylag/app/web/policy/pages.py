"""The officer's pages: rules, facts, decisions and questions about flows. Plain forms and links; no script needed."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from greylag.app.web.api import Wired
from greylag.app.web.identity import acting
from greylag.app.web.policy import documents as doc
from greylag.app.web.policy.asking import described, recorded, task_decisions
from greylag.app.web.rendering import page
from greylag.domain.errors import RequestRefused
from greylag.domain.labels import LEVELS
from greylag.domain.stages import Stage
from greylag.governance.explanation import matrix
from greylag.governance.explanation.telling import NOTICE
from greylag.governance.facts import TARGET_KINDS
from greylag.governance.policy.request import PRINCIPAL_TYPES

router = APIRouter(include_in_schema=False)
_MAX_SUGGESTED = 200


@router.get("/policy")
def policy(request: Request, platform: Wired) -> HTMLResponse:
    """Show which packs, rules, openings and facts decide now."""
    person = acting(request, platform).person
    stages = doc.matrix_document(matrix(platform.policy.policy.packs))
    return page("policy.html", person=person, found=doc.overview(platform), stages=stages)


@router.get("/policy/decisions/{decision_id}")
def decision(request: Request, decision_id: str, platform: Wired) -> HTMLResponse:
    """Show why a recorded decision is as it is."""
    person = acting(request, platform).person
    found = recorded(platform, decision_id)
    return page(
        "decision.html", person=person, found=found, decision=found.decision, told=found.explanation, notice=NOTICE
    )


@router.get("/policy/explain")
def explain_flow(request: Request, platform: Wired, asked: Annotated[doc.FlowIn, Query()]) -> HTMLResponse:
    """Ask about a flow that has not happened; the form keeps what was said."""
    person = acting(request, platform).person
    told, problem = None, ""
    if not asked.empty:
        try:
            told = described(platform, asked)
        except RequestRefused as error:
            problem = f"{error.message} {error.remedy}"
    targets = [row.name for row in platform.policy.facts_today().targets if not row.covers_many][:_MAX_SUGGESTED]
    return page(
        "flow.html", status=400 if problem else 200, person=person, asked=asked, told=told, problem=problem,
        stages=[str(stage) for stage in Stage], levels=LEVELS, kinds=TARGET_KINDS, principals=list(PRINCIPAL_TYPES),
        targets=sorted(set(targets)), repositories=[each.name for each in platform.directory.repositories()],
        notice=NOTICE,
    )  # fmt: skip


@router.get("/tasks/{task_id}/decisions")
def decisions(request: Request, task_id: str, platform: Wired) -> HTMLResponse:
    """Show every decision about a task, each with the way to why."""
    person = acting(request, platform).person
    task = platform.cell.events.find(task_id)
    return page("decisions.html", person=person, task=task, found=task_decisions(platform, task.task_id))


@router.get("/facts")
def facts(
    request: Request,
    platform: Wired,
    search: Annotated[str, Query(max_length=200)] = "",
    number: Annotated[int, Query(alias="page", ge=1, le=10_000)] = 1,
) -> HTMLResponse:
    """Show fact rows: what each says, how sure it is, and whether it is past its review date."""
    person = acting(request, platform).person
    policy = platform.policy.policy
    found = doc.rows_document(policy.book, platform.policy.facts_today(), search, number)
    return page("facts.html", person=person, found=found)
