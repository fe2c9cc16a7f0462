"""The socket is held by a program nobody trusts: floods, endless heads, endless bodies, broken requests, slowness."""

import asyncio
import contextlib
import json
from typing import Any

import msgspec
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from models_stage import Hall, Run, Stub, body, stream_of

from greylag.adapters.models import listener, session
from greylag.adapters.models.conformance import post
from greylag.adapters.models.request import passed_headers, read_request
from greylag.domain.errors import RequestRefused

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
FIELDS = st.sampled_from([
    "model", "max_tokens", "messages", "stream", "tools", "thinking", "system", "metadata", "mcp_servers", "x",
])  # fmt: skip


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(RequestRefused):
        read_request(data)


@given(st.dictionaries(FIELDS, JSON), st.dictionaries(FIELDS, JSON))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_object_is_read_or_refused_and_what_leaves_is_what_was_judged(
    over: dict[str, Any], message: dict[str, Any]
) -> None:
    messages = [{"role": "user", "content": "hi", **message}]
    fields = {"model": "claude-1", "max_tokens": 10, "messages": messages, **over}
    draft = None
    with contextlib.suppress(RequestRefused):
        draft = read_request(msgspec.json.encode(fields))
    if draft is None:
        return
    sealed = msgspec.json.decode(draft.sealed(5, "run-p"))
    assert sealed["max_tokens"] == 5
    assert sealed.get("metadata") in (None, {"user_id": "run-p"})
    left = {name: value for name, value in sealed.items() if name not in ("max_tokens", "metadata")}
    assert left == {name: value for name, value in fields.items() if name not in ("max_tokens", "metadata")}


@pytest.mark.parametrize(
    "fields",
    [
        {"model": ""}, {"model": "a b"}, {"model": "a\n"}, {"model": "../x"}, {"model": "x" * 201}, {"model": 1},
        {"model": ...}, {"max_tokens": 0}, {"max_tokens": -1}, {"max_tokens": 1.5}, {"max_tokens": "1"},
        {"max_tokens": 10**30}, {"max_tokens": ...}, {"max_tokens": True}, {"messages": []}, {"messages": "x"},
        {"messages": ["x"]}, {"messages": ...}, {"stream": "yes"}, {"stream": 1}, {"tools": "x"}, {"tools": [1]},
        {"messages": [{"role": "user", "content": ["x"]}]}, {"thinking": "lots"},
    ],
)  # fmt: skip
def test_what_the_gateway_must_understand_has_to_be_right(fields: dict[str, Any]) -> None:
    with pytest.raises(RequestRefused) as refused:
        read_request(body(**fields))
    assert refused.value.code == "GL-GATEWAY-004"


def test_headers_that_are_not_harmless_are_left_out() -> None:
    given_headers = [
        (b"Anthropic-Beta", b"a-1"), (b"anthropic-beta", b"x\r\nevil: 1"), (b"anthropic-version", b"\xff"),
        (b"anthropic-beta", b"b" * 5000), (b"x-api-key", b"k"), (b"anthropic-beta", b""),
    ]  # fmt: skip
    assert passed_headers(given_headers) == {"anthropic-beta": "a-1"}


async def raw(run: Run, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
    try:
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(-1), 10)
        return b""
    finally:
        writer.close()


async def test_a_body_over_the_bound_is_refused_without_reading_it_all(hall: Hall, stub: Stub) -> None:
    async with hall.run() as run:
        reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
        head = f"POST /v1/messages HTTP/1.1\r\nhost: g\r\nx-api-key: {run.session.token}\r\n"
        writer.write(head.encode() + b"content-length: 10000000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                writer.write(b" " * 65536)
                await writer.drain()
                sent += 65536
        assert sent < 32 * 2**20
        with contextlib.suppress(ConnectionError):
            answer = await reader.read(-1)
            assert not answer or (b" 451 " in answer and b"GL-GATEWAY-004" in answer)
        writer.close()
        assert (await run.ask())[0] == 200
    assert len(stub.seen) == 1


async def test_eight_mebibytes_pass_and_one_byte_more_does_not(hall: Hall, stub: Stub) -> None:
    async with hall.run(cap_usd_micros=10**9) as run:
        room = 8 * 2**20 - len(body(system=""))
        assert (await run.ask(system="x" * room))[0] == 200
        status, answer = await run.ask(system="x" * (room + 1))
        assert (status, b"GL-GATEWAY-004" in answer) == (451, True)
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"\r\n" * 50, b"POST /v1/messages HTTP/9.9\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/messages HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/messages HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"GET / HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\x00 HTTP/1.1\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/v1/models HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    ],
)  # fmt: skip
async def test_broken_requests_end_the_connection_not_the_gateway(hall: Hall, stub: Stub, data: bytes) -> None:
    async with hall.run() as run:
        reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
        writer.write(data)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(4096), 5)
        writer.close()
        assert b" 200 " not in answer[:20]
        assert (await run.ask())[0] == 200
    assert len(stub.seen) == 1


async def test_an_endless_head_is_cut_off(hall: Hall) -> None:
    async with hall.run() as run:
        for piece in (b"x: " + b"y" * 65536, b"x: y\r\n" * 10_000):
            _, writer = await asyncio.open_unix_connection(str(run.session.socket))
            writer.write(b"GET / HTTP/1.1\r\n")
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 4 * 2**20:
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
            assert sent < 4 * 2**20
            writer.close()
        assert (await run.ask())[0] == 200


async def test_endless_trailers_are_cut_off(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "REQUEST_BYTES", 2**20)
    async with hall.run() as run:
        _, writer = await asyncio.open_unix_connection(str(run.session.socket))
        head = f"POST /v1/messages HTTP/1.1\r\nhost: g\r\nx-api-key: {run.session.token}\r\n"
        writer.write(head.encode() + b"transfer-encoding: chunked\r\n\r\n0\r\n")
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 8 * 2**20:
                writer.write(b"x: y\r\n" * 5_000)
                await writer.drain()
                sent += 30_000
        assert sent < 8 * 2**20
        writer.close()
        assert (await run.ask())[0] == 200


async def test_slow_heads_and_slow_bodies_run_out_of_time(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(session, "_BODY_SECONDS", 0.3)
    async with hall.run() as run:
        assert await raw(run, b"") == b""
        assert await raw(run, b"POST /v1/messages HTTP/1.1\r\nhost: g\r\n") == b""
        head = f"POST /v1/messages HTTP/1.1\r\nhost: g\r\nx-api-key: {run.session.token}\r\ncontent-length: 9\r\n\r\n"
        answer = await raw(run, head.encode() + b"{")
        assert b" 451 " in answer
        assert b"GL-GATEWAY-004" in answer


async def test_a_flood_of_connections_is_bounded_and_the_next_run_is_served(hall: Hall, stub: Stub) -> None:
    async with hall.run() as flooded, hall.run() as other:
        flood = []
        for _ in range(listener.CONNECTIONS * 3):
            with contextlib.suppress(OSError):
                flood.append(await asyncio.open_unix_connection(str(flooded.session.socket)))
        await asyncio.sleep(0.1)
        assert len(hall.gateway._open[flooded.grant.run_id].listener._state.connections) <= listener.CONNECTIONS
        assert (await other.ask())[0] == 200
        for _, writer in flood:
            writer.close()
        await asyncio.sleep(0.1)
        assert (await flooded.ask())[0] == 200


async def test_many_calls_at_once_wait_their_turn(hall: Hall, stub: Stub) -> None:
    running, most = 0, 0

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running -= 1
        return web.json_response({"usage": {"input_tokens": 1, "output_tokens": 1}})

    stub.answer = answer
    async with hall.run() as run:
        answers = await asyncio.gather(*(run.ask() for _ in range(24)))
    assert [status for status, _ in answers] == [200] * 24
    assert most <= 8


async def test_a_harness_that_does_not_read_holds_the_endpoint_back(hall: Hall, stub: Stub) -> None:
    written = 0

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        nonlocal written
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(4000):
            await response.write(b": " + b"x" * 16_382)
            written += 16_384
        return response

    stub.answer = answer
    async with hall.run() as run:
        reader, writer = await asyncio.open_unix_connection(str(run.session.socket), limit=2**16)
        request = body(stream=True)
        head = f"POST /v1/messages HTTP/1.1\r\nhost: g\r\nx-api-key: {run.session.token}\r\n"
        writer.write(head.encode() + f"content-length: {len(request)}\r\n\r\n".encode() + request)
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.5)
        assert written < 24 * 2**20  # kernel buffers on the way, not the 64 MB
        writer.close()
        await asyncio.wait_for(stub.gone.wait(), 5)


async def test_an_endpoint_that_never_stops_talking_is_ended(stub: Stub, hall: Hall) -> None:
    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        await response.prepare(request)
        for _ in range(2000):
            await response.write(b" " * 65536)
        return response

    stub.answer = answer
    async with hall.run() as run:
        status, answer_body = await run.ask()
        assert status == 451
        assert "GL-GATEWAY-009" in json.loads(answer_body)["error"]["message"]
        await run.close()
    assert hall.receipts[0].cost_usd_micros >= 15_000


async def test_the_model_cannot_lie_about_what_was_used(stub: Stub, hall: Hall) -> None:
    """Text of the model that looks like usage is text: only the endpoint's own events count."""
    forged = '","usage":{"output_tokens":0}} \n\nevent: message_delta\ndata: {"type":"message_delta","usage":{}}\n\n'

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return await stub.stream(request, [stream_of(forged, output_tokens=777)])

    stub.answer = answer
    async with hall.run() as run:
        await run.ask(stream=True)
        await run.close()
    assert hall.receipts[0].output_tokens == 777


async def test_a_token_in_the_query_or_a_cookie_is_no_token(hall: Hall) -> None:
    async with hall.run() as run:
        token = run.session.token
        for head in (
            f"POST /v1/messages?x-api-key={token} HTTP/1.1\r\nhost: g",
            f"POST /v1/messages HTTP/1.1\r\nhost: g\r\ncookie: x-api-key={token}",
            f"POST /v1/messages HTTP/1.1\r\nhost: g\r\nauthorization: Basic {token}",
            "POST /v1/messages HTTP/1.1\r\nhost: g\r\nauthorization: Bearer",
            "POST /v1/messages HTTP/1.1\r\nhost: g\r\nx-api-key:",
        ):
            answer = await raw(run, f"{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".encode())
            assert b" 401 " in answer[:20]
        assert (await post(run.session, "/v1/messages", body()))[0] == 200
