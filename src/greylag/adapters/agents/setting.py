"""What an agent's program is started with: arguments, environment, network. Nothing of the platform's own."""

from collections.abc import Mapping

from greylag.adapters.agents.port import Assignment
from greylag.adapters.sandbox.port import GATEWAY_URL, Mount, Network, SandboxSpec
from greylag.domain.errors import RequestRefused

_MODEL_VARIABLES = (
    "ANTHROPIC_MODEL", "ANTHROPIC_DEFAULT_MODEL", "ANTHROPIC_DEFAULT_HAIKU_MODEL", "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL", "ANTHROPIC_DEFAULT_FABLE_MODEL", "ANTHROPIC_SMALL_FAST_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
)  # fmt: skip


def model_environment(assignment: Assignment) -> dict[str, str]:
    """Return where the model is and the run's token; empty without a session.

    Every variable in which a harness looks for a model's name holds the assignment's one, so that side calls (titles,
    sub-agents) go nowhere else. The token is good for this run on this gateway and for nothing else.
    """
    if assignment.session is None:
        return {}
    environment = {"ANTHROPIC_BASE_URL": GATEWAY_URL, "ANTHROPIC_AUTH_TOKEN": assignment.session.token}
    if assignment.model:
        environment |= dict.fromkeys(_MODEL_VARIABLES, assignment.model)
    return environment


def secrets_of(assignment: Assignment) -> tuple[str, ...]:
    """Return what must not stand in progress, detail or transcript."""
    return (assignment.session.token,) if assignment.session else ()


def sandbox_spec(
    assignment: Assignment, argv: tuple[str, ...], mounts: tuple[Mount, ...] = (), env: Mapping[str, str] | None = None
) -> SandboxSpec:
    """Return the assignment's program as the sandbox takes it; the platform's variables win over the assignment's."""
    session = assignment.session
    return SandboxSpec(
        argv=argv,
        workspace=assignment.workspace,
        mounts=(*assignment.mounts, *mounts),
        env={**assignment.env, **model_environment(assignment), **(env or {})},
        limits=assignment.limits,
        network=Network.NONE if session is None else Network.GATEWAY,
        gateway=None if session is None else session.socket,
    )


def command_of(assignment: Assignment, agent: str) -> tuple[str, ...]:
    """Return the program to run. Raises RequestRefused ``GL-AGENT-003`` where there is none or it can't be one."""
    command = assignment.command
    if command and command[0] and not any("\0" in word for word in command):
        return command
    raise RequestRefused(
        "GL-AGENT-003",
        f"the agent `{agent}` needs a program to run, got {command!r}.",
        f"name it after `--`, as in `greylag ask --agent {agent} … -- PROGRAM ARGUMENT…`.",
    )
