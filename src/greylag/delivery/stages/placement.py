"""Placement: where it runs, with which agent, and which model endpoint it may call."""

from greylag.delivery.cell import PLATFORM, Cell
from greylag.domain import events as ev
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import TaskId
from greylag.domain.stages import Stage
from greylag.egress.hop import Hop
from greylag.governance.question import Asset, Target


async def place(cell: Cell, task_id: TaskId) -> str:
    """Place the task; the card says where and with what. Raises PolicyRefused with the remedies."""
    task = await cell.task(task_id)
    name = task.agent or cell.default_agent
    agent = cell.agents.get(name)
    if agent is None:
        known = ", ".join(f"`{each}`" for each in sorted(cell.agents))
        raise RequestRefused("GL-AGENT-002", f"there is no agent {name!r} (there are {known}).", "name one of these.")
    needs_model = agent.needs_model and task.intent != "release"
    if needs_model and not cell.endpoint:
        raise RequestRefused(
            "GL-AGENT-004",
            f"the agent `{name}` needs a model, and none is set up.",
            "an operator sets `ANTHROPIC_API_KEY`; or name a program: `greylag ask '…' --agent command -- PROGRAM`.",
        )
    # What was found in the words is decided prompt by prompt, where it can be masked; here counts what was said of it.
    said = cell.labeller.of_repository(await cell.repository(task))
    asset = Asset("run", said, cell.region, task.request.digest)
    pool = Target("pool", f"{cell.sandbox.name}@{cell.region}")
    permit = await cell.admit(
        Hop(Stage.PLACEMENT, PLATFORM, "run", asset, pool, "pool", task_id, task.repository or "")
    )
    endpoint = cell.endpoint if needs_model else ""
    if endpoint:
        target = Target("endpoint", endpoint)
        await cell.admit(
            Hop(Stage.PLACEMENT, PLATFORM, "run", asset, target, "endpoint", task_id, task.repository or "")
        )
    label = cell.labels.get(endpoint, "")
    with_model = f", model endpoint {endpoint}" + (f" ({label})" if label else "") if endpoint else ", no model"
    how = "no agent: main as it stands" if task.intent == "release" else f"agent {name}"
    summary = f"runs in {cell.region}, sandbox {cell.sandbox.name}, {how}{with_model}"
    placed = ev.TaskPlaced(cell.region, cell.sandbox.name, name, endpoint, summary, permit.decision_id)
    await cell.record(task_id, placed, "placed")
    await cell.say(task, "text", f"{task.intent} in {task.repository}: {summary}.", "placed")
    return "placed"
