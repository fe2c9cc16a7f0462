"""Any agent that speaks the Agent Client Protocol, inside the sandbox.

The protocol's library takes most of a second to import, so it is imported when such an agent works, not when the
platform starts.
"""

from greylag.adapters.agents.narration import Narrator
from greylag.adapters.agents.port import AgentResult, Assignment
from greylag.adapters.agents.setting import command_of, sandbox_spec, secrets_of
from greylag.adapters.agents.supervision import supervise
from greylag.adapters.agents.transcript import Transcript
from greylag.adapters.sandbox.port import Probe

_ENVIRONMENT = {"IS_SANDBOX": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


class AcpAgent:
    """Drives ``assignment.command`` by the Agent Client Protocol, version 1 (agentclientprotocol.com)."""

    def __init__(self, *, needs_model: bool = True) -> None:
        self.name = "acp"
        self.needs_model = needs_model
        self.hears = True

    async def probe(self) -> Probe:
        """Say that it can be used: whether the program exists is known in the sandbox alone."""
        from acp.meta import PROTOCOL_VERSION  # noqa: PLC0415 - see the module's text

        return Probe(ready=True, detail=f"Agent Client Protocol {PROTOCOL_VERSION}, any program that speaks it")

    async def work(self, assignment: Assignment) -> AgentResult:
        """Work on the prompt until the agent ends its turn and nothing more was said, is stopped or out of bounds.

        Raises RequestRefused ``GL-AGENT-003`` without a program, and what the sandbox raises.
        """
        from greylag.adapters.agents.protocol import ProtocolRun  # noqa: PLC0415 - see the module's text

        command = command_of(assignment, self.name)
        secrets = secrets_of(assignment)
        run = ProtocolRun(assignment, Narrator(assignment.progress, secrets), Transcript(secrets))
        process = await assignment.sandbox.start(sandbox_spec(assignment, command, (), _ENVIRONMENT))
        conversation = await supervise(process, run.talk(process), assignment.stop, run.cancel)
        await run.narrator.finish()
        return run.result(conversation)
