"""The two ends of a model call for the gateway's figures: a stub of an endpoint, and a client. Run as a program.

python caller.py stub                          prints its URL and serves until killed
python caller.py call unix|tcp WHERE TOKEN N   makes N calls and prints their median
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx
import uvicorn

_PROMPT = "x" * 20_000
_REQUEST = json.dumps(
    {"model": "bench-1", "max_tokens": 500, "messages": [{"role": "user", "content": _PROMPT}]}
).encode()
_ANSWER = json.dumps(
    {
        "id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "y" * 2000}],
        "stop_reason": "end_turn", "usage": {"input_tokens": 5000, "output_tokens": 500},
    }
).encode()  # fmt: skip


async def _stub(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_ANSWER)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": _ANSWER})


async def serve() -> None:
    config = uvicorn.Config(_stub, port=0, log_level="error", lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", flush=True)
    await serving


def call(kind: str, where: str, token: str, count: int) -> None:
    transport = httpx.HTTPTransport(uds=where) if kind == "unix" else httpx.HTTPTransport()
    base = "http://gateway" if kind == "unix" else where
    taken = []
    headers = {"x-api-key": token, "content-type": "application/json"}
    with httpx.Client(transport=transport, base_url=base, headers=headers, timeout=30) as client:
        for number in range(count + 3):
            begun = time.perf_counter()
            answer = client.post("/v1/messages", content=_REQUEST)
            assert answer.status_code == 200, answer.text
            assert len(answer.content) == len(_ANSWER)
            if number >= 3:  # the first ones pay for connections
                taken.append((time.perf_counter() - begun) * 1000)
    print(json.dumps({"median_ms": statistics.median(taken)}))


if __name__ == "__main__":
    if sys.argv[1] == "stub":
        asyncio.run(serve())
    else:
        call(sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
