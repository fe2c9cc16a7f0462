"""A scripted model: answers from cassettes, so that demo, docs and tests need no key and no network.

It must never be taken for a real model: its label says so wherever its work is shown, and it never guesses. What is
not in the script is an error that says what was looked for.
"""

import hashlib
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from greylag.adapters.models.backends.cassette import (
    Cassette,
    EditFile,
    ReadFile,
    Scene,
    Shell,
    Tool,
    Turn,
    Verify,
    WriteFile,
    found,
    load_cassettes,
)  # fmt: skip
from greylag.adapters.models.port import ModelCall, ModelReply, Price
from greylag.adapters.models.refusal import REFUSED, ErrorAnswer
from greylag.adapters.sandbox.port import WORKSPACE
from greylag.domain.errors import RequestRefused
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

LABEL = "scripted model — no real model was called"
_FREE = Price(0, 0, 0, 0, "scripted")
_MODEL = re.compile(r"scripted[A-Za-z0-9._:/@-]{0,100}")
# What a harness adds to the first message on its own; a script answers what the person asked for.
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_SEARCHED_CHARACTERS = 256 * 1024
_DELTA_CHARACTERS = 48


@dataclass(frozen=True, slots=True)
class _Asked:
    """What matters of a request. ``turns`` counts the earlier assistant messages that used tools."""

    first: str
    newest_result: str
    turns: int
    tools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reply:
    """What is said: ``calls`` are (tool, input) pairs in the harness's words."""

    text: str
    calls: tuple[tuple[str, dict[str, str]], ...]
    input_tokens: int
    output_tokens: int


class ScriptedUpstream:
    """Answers calls from ``cassettes`` (a folder, or cassettes already read), free of charge.

    Stateless: the turn is found by counting, so tries again, restarts and runs side by side replay right. ``workspace``
    is where the harness finds its checkout: relative paths are below it, and ``@CWD@`` stands for it. ``place`` is
    told in each reply as where it was worked on, as a real endpoint does.
    Raises OperatorError ``GL-SCRIPT-001`` for cassettes that can't be used.
    """

    label = LABEL

    def __init__(
        self, endpoint: str, cassettes: Path | Sequence[Cassette], *, workspace: str = WORKSPACE, place: str = ""
    ) -> None:
        self.endpoint = endpoint
        self._cassettes = load_cassettes(cassettes) if isinstance(cassettes, Path) else tuple(cassettes)
        self._workspace = workspace
        self._place = place

    def price(self, model: str) -> Price | None:
        """Return rates of nothing for models named ``scripted…``, None for every other."""
        return _FREE if _MODEL.fullmatch(model) else None

    async def send(self, permit: Permit, call: ModelCall) -> ModelReply:
        """Answer ``call`` from the script; what the script doesn't hold is a 451 with a code ``GL-SCRIPT-00x``."""
        digest = hashlib.sha256(call.body).hexdigest()
        permit.require(Stage.PROMPT, self.endpoint, f"sha256:{digest}")
        try:
            reply = self._reply(call)
        except RequestRefused as error:
            answer = ErrorAnswer(REFUSED, "permission_error", " ".join(str(error).split()))
            return ModelReply(REFUSED, _headers("application/json", digest), _chunks([answer.body()]))
        message = _message(reply, call.model, digest, self._place)
        if call.stream:
            return ModelReply(200, _headers("text/event-stream", digest), _chunks(_events(reply, message)))
        return ModelReply(200, _headers("application/json", digest), _chunks([msgspec.json.encode(message)]))

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _reply(self, call: ModelCall) -> _Reply:
        asked = _asked(call.body)
        cassette = next((one for one in self._cassettes if found(one.when, asked.first)), None)
        if cassette is None:
            tried = ", ".join(f"{one.name} ({one.when!r})" for one in self._cassettes)
            raise _missing(
                "002", f"no cassette's `when` is found in the first user message {_short(asked.first)}", tried
            )
        if not asked.tools:
            if cassette.side is None:
                raise _missing(
                    "007", f"cassette `{cassette.name}` has no `side` for a request without tools", "nothing"
                )
            return _Reply(cassette.side.say, (), *_estimate(call, cassette.side.say))
        turn = _turn(cassette, asked)
        calls = tuple(_in_words_of(asked.tools, tool, self._workspace) for tool in turn.tools)
        text = turn.say.replace("@CWD@", self._workspace)
        if turn.usage is not None:
            return _Reply(text, calls, turn.usage.input_tokens, turn.usage.output_tokens)
        return _Reply(text, calls, *_estimate(call, text + str(calls)))


def _turn(cassette: Cassette, asked: _Asked) -> Turn:
    scene: Scene | None = next((one for one in cassette.scenes if found(one.prompt, asked.first)), None)
    if scene is None:
        tried = ", ".join(repr(one.prompt) for one in cassette.scenes)
        raise _missing(
            "003", f"no scene's `prompt` of cassette `{cassette.name}` is found in {_short(asked.first)}", tried
        )
    if asked.turns >= len(scene.turns):
        raise _missing(
            "004",
            f"the scene {scene.prompt!r} of cassette `{cassette.name}` has no turn {asked.turns + 1}",
            f"{len(scene.turns)} turns are there",
        )
    turn = scene.turns[asked.turns]
    if turn.expect is not None and not found(turn.expect, asked.newest_result):
        raise _missing(
            "005",
            f"turn {asked.turns + 1} of the scene {scene.prompt!r} of cassette `{cassette.name}` expects"
            f" {turn.expect!r} in the newest tool result, which is {_short(asked.newest_result)}",
            repr(turn.expect),
        )
    return turn


def _asked(body: bytes) -> _Asked:
    try:
        request = msgspec.json.decode(body)
        messages = request["messages"]
        first = next(_text(message["content"]) for message in messages if message["role"] == "user")
        turns = sum(message["role"] == "assistant" and _uses_tools(message["content"]) for message in messages)
        results = next(
            (texts for message in reversed(messages) if (texts := _results(message["content"])) is not None), ""
        )
        tools = tuple(str(tool["name"]) for tool in request.get("tools") or ())
    except (msgspec.DecodeError, RecursionError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise _missing("008", f"the request can't be read ({type(error).__name__})", "a Messages request") from error
    first = _REMINDER.sub("", first).strip()
    return _Asked(first[:_SEARCHED_CHARACTERS], results[-_SEARCHED_CHARACTERS:], turns, tools)


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")


def _uses_tools(content: Any) -> bool:
    return not isinstance(content, str) and any(block.get("type") == "tool_use" for block in content)


def _results(content: Any) -> str | None:
    if isinstance(content, str):
        return None
    results = [block.get("content") or "" for block in content if block.get("type") == "tool_result"]
    return "\n".join(_text(result) for result in results) if results else None


def _in_words_of(offered: tuple[str, ...], tool: Tool, workspace: str) -> tuple[str, dict[str, str]]:
    """Return name and input of the harness's own tool for the script's ``tool``. Names are Claude Code's."""

    def placed(text: str) -> str:
        return text.replace("@CWD@", workspace)

    def path(text: str) -> str:
        return placed(text) if text.startswith(("/", "@CWD@")) else f"{workspace}/{text}"

    match tool:
        case ReadFile():
            name, arguments = "Read", {"file_path": path(tool.path)}
        case EditFile():
            arguments = {"file_path": path(tool.path), "old_string": placed(tool.old), "new_string": placed(tool.new)}
            name = "Edit"
        case WriteFile():
            name, arguments = "Write", {"file_path": path(tool.path), "content": placed(tool.content)}
        case Shell():
            name, arguments = "Bash", {"command": placed(tool.command)}
        case Verify():
            name, arguments = next((one for one in offered if one.endswith("verify")), "verify"), {}
    if name not in offered:
        raise _missing("006", f"the harness does not offer the tool `{name}`", f"{name!r} among {', '.join(offered)}")
    return name, arguments


def _message(reply: _Reply, model: str, digest: str, place: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    for number, (name, arguments) in enumerate(reply.calls):
        content.append({"type": "tool_use", "id": f"toolu_{digest[:20]}{number:02}", "name": name, "input": arguments})
    return {
        "id": f"msg_scripted_{digest[:20]}", "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": "tool_use" if reply.calls else "end_turn", "stop_sequence": None,
        "usage": {
            "input_tokens": reply.input_tokens, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": reply.output_tokens, **({"inference_geo": place} if place else {}),
        },
    }  # fmt: skip


def _events(reply: _Reply, message: dict[str, Any]) -> Iterator[bytes]:
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "usage": usage}
    yield _event("message_start", {"message": start})
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            yield _event("content_block_start", {"index": index, "content_block": {"type": "text", "text": ""}})
            deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        else:
            yield _event("content_block_start", {"index": index, "content_block": {**block, "input": {}}})
            written = msgspec.json.encode(block["input"]).decode()
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(written)]
        for delta in deltas:
            yield _event("content_block_delta", {"index": index, "delta": delta})
        yield _event("content_block_stop", {"index": index})
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield _event("message_delta", {"delta": end, "usage": {"output_tokens": reply.output_tokens}})
    yield _event("message_stop", {})


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\n".encode() + b"data: " + msgspec.json.encode({"type": name, **data}) + b"\n\n"


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _DELTA_CHARACTERS):
        yield text[start : start + _DELTA_CHARACTERS]


def _headers(media_type: str, digest: str) -> dict[str, str]:
    return {"content-type": media_type, "request-id": f"req_scripted_{digest[:20]}"}


async def _chunks(parts: Sequence[bytes] | Iterator[bytes]) -> AsyncGenerator[bytes, None]:
    for part in parts:
        yield part


def _estimate(call: ModelCall, said: str) -> tuple[int, int]:
    return -(-len(call.body) // 4), -(-len(said) // 4)


def _short(text: str) -> str:
    return repr(text if len(text) <= 160 else f"{text[:100]} … {text[-50:]}")


def _missing(number: str, what: str, looked_for: str) -> RequestRefused:
    return RequestRefused(
        f"GL-SCRIPT-{number}", f"{what}; looked for: {looked_for[:600]}.", "add it to the cassette, or mend the test."
    )
