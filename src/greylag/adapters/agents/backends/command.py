"""Any program as an agent: it reads the prompt, changes the workspace, and its exit code says how it went."""

import asyncio
import contextlib
import tempfile
from collections import deque
from pathlib import Path

from greylag.adapters.agents.narration import Narrator
from greylag.adapters.agents.port import AgentResult, Assignment
from greylag.adapters.agents.setting import command_of, sandbox_spec, secrets_of
from greylag.adapters.agents.supervision import Conversation, end_in_words, supervise
from greylag.adapters.agents.transcript import Transcript
from greylag.adapters.agents.wire import lines_of
from greylag.adapters.sandbox.port import Ended, EndReason, Mount, Probe, SandboxProcess
from greylag.domain.errors import BackendError

PROMPT_FILE = "/opt/greylag/prompt.txt"
_LAST_LINES = 5
_LINE_BYTES = 10_000
_DETAIL_CHARS = 800


class CommandAgent:
    """Runs ``assignment.command`` with the prompt on standard input and in the file named by GREYLAG_PROMPT_FILE.

    The file is read-only and not in the workspace, which is the working directory. Each line the program prints is
    progress. Exit code 0 means finished. With a session it finds the model by ANTHROPIC_BASE_URL and
    ANTHROPIC_AUTH_TOKEN.
    """

    def __init__(self, *, needs_model: bool = False) -> None:
        self.name = "command"
        self.needs_model = needs_model
        self.hears = False  # its input is the prompt and ends with it

    async def probe(self) -> Probe:
        """Say that it can be used: whether the program exists is known in the sandbox alone."""
        return Probe(ready=True, detail="any program in the sandbox's toolchain or in the repository")

    async def work(self, assignment: Assignment) -> AgentResult:
        """Run the program until it ends, is stopped or out of bounds.

        Raises RequestRefused ``GL-AGENT-003`` without a program, and what the sandbox raises.
        """
        command = command_of(assignment, self.name)
        secrets = secrets_of(assignment)
        run = _Run(Narrator(assignment.progress, secrets), Transcript(secrets))
        with tempfile.TemporaryDirectory(prefix="greylag-prompt-") as folder:
            prompt = assignment.prompt.encode("utf-8", "replace")
            file = Path(folder) / "prompt.txt"
            file.write_bytes(prompt)
            file.chmod(0o444)
            spec = sandbox_spec(assignment, command, (Mount(file, PROMPT_FILE),), {"GREYLAG_PROMPT_FILE": PROMPT_FILE})
            process = await assignment.sandbox.start(spec)
            conversation = await supervise(process, run.talk(process, prompt), assignment.stop)
        await run.narrator.finish()
        return run.result(conversation, assignment)


class _Run:
    """What one program has printed so far."""

    def __init__(self, narrator: Narrator, transcript: Transcript) -> None:
        self.narrator = narrator
        self._transcript = transcript
        self._last: deque[bytes] = deque(maxlen=_LAST_LINES)

    async def talk(self, process: SandboxProcess, prompt: bytes) -> Ended:
        self._transcript.add("prompt", prompt.decode())
        feeding = asyncio.create_task(_feed(process, prompt))
        try:
            async for line in lines_of(process):
                start = line[:_LINE_BYTES]
                self._transcript.add("stdout", start.decode("utf-8", "replace"))
                # A progress bar redraws its line after a carriage return: only its last state is worth a line.
                shown = start.rstrip().rpartition(b"\r")[2]
                if shown:
                    self._last.append(shown)
                    await self.narrator.say(shown)
            return await process.wait()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    def result(self, conversation: Conversation, assignment: Assignment) -> AgentResult:
        ended = conversation.ended
        errors = ended.stderr[-10_000:].decode("utf-8", "replace")
        self._transcript.add("stderr", errors)
        self._transcript.add("ended", {"reason": str(ended.reason), "exit_code": ended.exit_code})
        transcript = self._transcript.to_bytes()
        if conversation.interrupted:
            return AgentResult("stopped", "it was stopped by a person", transcript)
        printed = [line for line in map(self.narrator.clean, self._last) if line]
        if ended.reason is EndReason.EXITED and ended.exit_code == 0:
            return AgentResult("finished", printed[-1] if printed else "it ended without a word", transcript)
        words = [line for line in map(self.narrator.clean, errors.splitlines()[-_LAST_LINES:]) if line]
        said = " | ".join(words or printed)
        detail = f"{end_in_words(ended, assignment.limits)}: {said}" if said else end_in_words(ended, assignment.limits)
        return AgentResult("failed", self.narrator.clean(detail, _DETAIL_CHARS), transcript)


async def _feed(process: SandboxProcess, prompt: bytes) -> None:
    # A program need not read its input: that it closed it is no failure.
    with contextlib.suppress(BackendError):
        await process.write(prompt)
        await process.close_input()
