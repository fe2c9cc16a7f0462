"""Who answers at a model endpoint's address in tests: a local server that speaks Messages from a script."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from greylag.adapters.models.backends.scripted import ScriptedUpstream
from greylag.adapters.models.port import ModelCall
from greylag.domain.stages import Stage
from tests.support.permits import permit

KEY = "sk-ant-test-7f0e5c1b9d"


@dataclass
class Endpoint:
    """A server that wants the key and answers from the script. ``bodies`` are the very bytes that came."""

    cassettes: Path
    url: str = ""
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    touched: int = 0

    @property
    def env(self) -> dict[str, str]:
        """What an operator sets to have this endpoint used."""
        return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": self.url}

    def answer(self, key: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.seen.append((key, json.loads(body)))
        self.bodies.append(body)
        if key != KEY:
            return 401, {}, b'{"type": "error", "error": {"type": "authentication_error", "message": "no"}}'
        return asyncio.run(self._scripted(path, body))

    async def _scripted(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked = json.loads(body)
        upstream = ScriptedUpstream("played", self.cassettes)
        call = ModelCall(path, asked["model"], body, {}, asked["max_tokens"], bool(asked.get("stream")))
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        reply = await upstream.send(permit(Stage.PROMPT, "played", digest), call)
        return reply.status, dict(reply.headers), b"".join([chunk async for chunk in reply.chunks])


@contextmanager
def endpoint(folder: Path, story: Mapping[str, object]) -> Iterator[Endpoint]:
    """Play ``story`` at a port of this machine. ``touched`` counts connections, also those that say nothing."""
    played = Endpoint(folder)
    (folder / "story.json").write_text(json.dumps(story))

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            played.touched += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, headers, answer = played.answer(self.headers.get("x-api-key", ""), self.path, body)
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(answer))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    played.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield played
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
