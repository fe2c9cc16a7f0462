"""One run's calls through a real socket to an Anthropic-shaped server: what passes, what is kept, what stays here."""

import asyncio
import hashlib
import json
import os
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from models_stage import ENDPOINT, KEY, MODEL, Hall, Stub, anthropic, body, hall_of, sse, stream_of

from greylag.adapters.models.conformance import post
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.models.port import TurnReceipt
from greylag.domain.errors import BackendError, GreylagError, OperatorError
from greylag.domain.labels import Label
from tests.support.sight import PlainSight


def error_of(answer: tuple[int, bytes]) -> tuple[int, str]:
    reply = json.loads(answer[1])
    assert reply["type"] == "error"
    return answer[0], reply["error"]["message"].split(":")[0]


async def test_a_plain_call_is_decided_sent_settled_and_receipted(hall: Hall, stub: Stub) -> None:
    async with hall.run() as run:
        status, answer = await run.ask()
        await run.close()
    assert (status, json.loads(answer)["content"][0]["text"]) == (200, "hi")
    (decision,), (outcome,) = hall.ledger.of("decision"), hall.ledger.of("outcome")
    # 100 at $3 and 20 at $15 a million make 600 millionths
    assert hall.receipts == [
        TurnReceipt(1, ENDPOINT, MODEL, 100, 20, 600, decision["decision_id"], "us", 200),
    ]
    assert decision["stage"] == "prompt"
    assert decision["task_id"] == "task_1"
    assert decision["principal"] == f"agent:{run.grant.run_id}"
    assert decision["target"] == {"kind": "endpoint", "name": ENDPOINT}
    assert outcome["decision_id"] == decision["decision_id"]
    assert outcome["outcome"] == "sent"
    assert outcome["facts"]["cost_usd_micros"] == 600
    assert outcome["facts"]["usage"] == "reported"
    assert outcome["facts"]["observed_place"] == "us"


async def test_a_label_that_grows_while_it_works_decides_the_next_call(hall: Hall, stub: Stub) -> None:
    async with hall.run() as run:
        assert (await run.ask())[0] == 200
        hall.gateway.relabel(run.grant.run_id, Label("public"))  # never less than it was
        assert (await run.ask())[0] == 200
        hall.gateway.relabel(run.grant.run_id, Label("restricted"))
        hall.gateway.relabel("run_unknown", Label("restricted"))
        status, _ = await run.ask()
    levels = [question.asset.label.level for question in hall.policy.questions]
    assert levels == ["internal", "internal", "restricted"]
    assert status == 451


async def test_the_decision_is_about_exactly_the_bytes_that_left(hall: Hall, stub: Stub) -> None:
    raw: list[bytes] = []

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        raw.append(await request.read())
        return web.json_response({"usage": {"input_tokens": 1, "output_tokens": 1}})

    stub.answer = answer
    async with hall.run() as run:
        await run.ask(metadata={"user_id": "device-1"}, system="Be brief.")
    asset = hall.ledger.of("decision")[0]["asset"]
    assert asset["digest"] == f"sha256:{hashlib.sha256(raw[0]).hexdigest()}"
    assert asset["size_bytes"] == len(raw[0])
    assert asset["level"] == "internal"


async def test_a_stream_passes_byte_for_byte_and_early(hall: Hall, stub: Stub) -> None:
    whole = stream_of("Grüße", cache_read_input_tokens=1000, cache_creation_input_tokens=10)
    parts = [whole[:7], whole[7:200], whole[200:201], whole[201:]]
    more = asyncio.Event()

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for part in parts[:-1]:
            await response.write(part)
        await more.wait()
        await response.write(parts[-1])
        return response

    stub.answer = answer
    async with hall.run() as run:
        reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
        request = body(stream=True)
        writer.write(
            b"POST /v1/messages?beta=true HTTP/1.1\r\nhost: g\r\nauthorization: Bearer "
            + f"{run.session.token}\r\nconnection: close\r\ncontent-length: {len(request)}\r\n\r\n".encode()
            + request
        )
        early = await asyncio.wait_for(reader.readuntil(b"message_start"), 5)  # while the endpoint still waits
        more.set()
        rest = await reader.read(-1)
        writer.close()
        await run.close()
    chunks = (early + rest).split(b"\r\n\r\n", 1)[1]
    assert b"content-type: text/event-stream" in (early + rest).lower()
    sent = b""
    while chunks:
        size, _, chunks = chunks.partition(b"\r\n")
        sent, chunks = sent + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
    assert sent == whole
    (receipt,) = hall.receipts
    assert (receipt.input_tokens, receipt.output_tokens, receipt.observed_place) == (1110, 20, "unknown")
    assert receipt.cost_usd_micros == -(-(100 * 3000 + 20 * 15000 + 1000 * 300 + 10 * 3750) // 1000)


async def test_the_key_goes_to_the_endpoint_and_the_token_does_not(hall: Hall, stub: Stub) -> None:
    async with hall.run() as run:
        reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
        request = body()
        head = [
            "POST /v1/messages HTTP/1.1", "host: g", f"x-api-key: {run.session.token}", "anthropic-version: 2023-06-01",
            "anthropic-beta: a-1", "anthropic-beta: b-2,c-3", "x-claude-code-session-id: s-1", "x-stainless-os: Linux",
            "user-agent: claude-cli/2", "cookie: a=b", "forwarded: for=10.0.0.1", "x-app: cli", "connection: close",
            f"content-length: {len(request)}",
        ]  # fmt: skip
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + request)
        assert (await reader.read(-1)).startswith(b"HTTP/1.1 200")
        writer.close()
        token = run.session.token
    ((headers, _),) = stub.seen
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-beta"] == "a-1,b-2,c-3"
    assert headers["anthropic-version"] == "2023-06-01"
    assert headers["accept-encoding"] == "identity"
    assert token not in json.dumps(headers)
    assert set(headers) == {
        "host", "x-api-key", "anthropic-beta", "anthropic-version", "accept-encoding", "accept", "content-type",
        "content-length", "user-agent",
    }  # fmt: skip
    assert headers["user-agent"] == "greylag"


async def test_device_ids_are_replaced_by_a_pseudonym_of_the_run(hall: Hall, stub: Stub) -> None:
    device = {"user_id": json.dumps({"device_id": "d-1", "account_uuid": "a-1", "session_id": "s-1"}), "more": "d-1"}
    for _ in range(2):
        async with hall.run() as run:
            await run.ask(metadata=device)
            await run.ask(metadata=device)
    async with hall.run() as run:
        await run.ask()
    ids = [fields.get("metadata") for _, fields in stub.seen]
    assert ids[0] == ids[1] != ids[2] == ids[3]
    assert ids[4] is None
    assert all(set(one) == {"user_id"} and "d-1" not in str(one) for one in ids[:4])


async def test_unknown_fields_and_the_system_role_pass_as_they_are(hall: Hall, stub: Stub) -> None:
    fields = {
        "context_management": {"edits": [{"type": "x"}]}, "output_config": {"effort": "high"}, "a_new_field": [1, 2.5],
        "thinking": {"type": "adaptive", "display": "updates"},
        "tools": [{"name": "Read", "input_schema": {}, "defer_loading": True}, {"type": "custom", "name": "Edit"},
                  {"type": "bash_20250124", "name": "bash"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "hi"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Read",
                                               "input": {"source": {"type": "url", "url": "https://x"}}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": ""}}]}]},
            {"role": "system", "content": "be quick"},
        ],
    }  # fmt: skip
    async with hall.run() as run:
        assert (await run.ask(**fields))[0] == 200
    ((_, seen),) = stub.seen
    assert seen == json.loads(body(**fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"mcp_servers": [{"type": "url", "url": "https://evil.example", "name": "x"}]},
        {"container": "c_1"},
        {"inference_geo": "us"},
        {"speed": "fast"},
        {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
        {"tools": [{"type": "something_new_20990101", "name": "x"}]},
        {"tools": [{"type": {"custom": 1}, "name": "x"}]},
        {"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://evil.example/?secret"}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "source": {"type": "content", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://evil.example/?secret"}}]}}]}]},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [
            {"type": "document", "source": {"type": "file", "file_id": "f"}}]}]}]},
        {"system": [{"type": "container_upload", "file_id": "f"}]},
    ],
)  # fmt: skip
async def test_a_request_that_makes_the_endpoint_reach_further_is_refused(
    hall: Hall, stub: Stub, fields: dict[str, Any]
) -> None:
    async with hall.run() as run:
        assert error_of(await run.ask(**fields)) == (451, "GL-GATEWAY-005")
    assert stub.seen == []
    assert hall.ledger.entries == []


async def test_a_second_reading_cannot_mean_something_else(hall: Hall, stub: Stub) -> None:
    twice = (
        b'{"model":"gpt-x","max_tokens":1,"messages":[{"role":"user","content":"a"}],'
        b'"tools":[{"name":"x","type":"web_fetch_20250910","type":"custom"}],"model":"claude-test-1"}'
    )
    raw: list[bytes] = []

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        raw.append(await request.read())
        return web.json_response({"usage": {"input_tokens": 1, "output_tokens": 1}})

    stub.answer = answer
    async with hall.run() as run:
        assert (await post(run.session, "/v1/messages", twice))[0] == 200
    assert b"gpt-x" not in raw[0]
    assert b"web_fetch" not in raw[0]


async def test_counting_and_listing_and_greeting_stay_here(hall: Hall, stub: Stub) -> None:
    async with hall.run() as run:
        status, answer = await run.ask(path="/v1/messages/count_tokens")
        assert (status, json.loads(answer)) == (200, {"input_tokens": -(-len(body()) // 4)})
        for method, path, wanted in (
            ("HEAD", "/", 200), ("GET", "/api/hello", 200), ("HEAD", "/api/hello", 200), ("GET", "/v1/models", 401),
            ("GET", "/v1/messages", 401), ("OPTIONS", "/", 401),
        ):  # fmt: skip
            reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
            writer.write(f"{method} {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\r\n".encode())
            assert int((await reader.read(-1)).split()[1]) == wanted, (method, path)
            writer.close()
        for path in ("/v1/files", "/v1/messages/batches", "/v1/models", "/", "/v1/messages/../files"):
            assert error_of(await run.ask(path=path)) == (404, "GL-GATEWAY-011")
    assert stub.seen == []
    assert hall.ledger.entries == []


async def test_another_runs_token_is_nobodys(hall: Hall, stub: Stub) -> None:
    async with hall.run() as one, hall.run() as other:
        for token in ("", "x", other.session.token, one.session.token + "x", one.session.token.upper(), KEY):
            assert (await post(one.session, "/v1/messages", body(), token=token))[0] == 401
        assert (await one.ask())[0] == 200
    assert len(stub.seen) == 1


async def test_policy_says_no_in_one_line_with_a_remedy(hall: Hall, stub: Stub) -> None:
    async with hall.run(label=Label("restricted")) as run:
        status, answer = await run.ask(stream=True)
    message = json.loads(answer)["error"]["message"]
    assert status == 451
    assert message.startswith("GL-POLICY-001:")
    assert "it would leave" in message
    assert message.endswith("Next: choose another endpoint.")
    assert "\n" not in message
    assert stub.seen == []
    assert [entry["permitted"] for entry in hall.ledger.of("decision")] == [False]
    assert hall.receipts == []


@pytest.mark.parametrize(
    "error",
    [BackendError("GL-LEDGER-001", "the disk is full.", "make room.", transient=True), OSError("disk"), KeyError("x")],
)
async def test_without_a_ledger_nothing_leaves_and_the_harness_stops(hall: Hall, stub: Stub, error: Exception) -> None:
    hall.ledger.fails_on = {"decision": error}
    async with hall.run(cap_usd_micros=100_000) as run:
        for _ in range(20):  # what was reserved is given back each time: the budget would not last for two
            assert error_of(await run.ask())[0] == 451
        hall.ledger.fails_on = {}
        assert (await run.ask())[0] == 200
    assert len(stub.seen) == 1


async def test_without_policy_nothing_leaves(hall: Hall, stub: Stub) -> None:
    hall.policy.broken = True
    async with hall.run() as run:
        assert error_of(await run.ask()) == (451, "GL-GATEWAY-008")
    assert stub.seen == []


async def test_a_receipt_that_is_lost_stops_the_run_and_close_says_so(hall: Hall, stub: Stub) -> None:
    hall.ledger.fails_on = {"outcome": BackendError("GL-LEDGER-001", "the disk is full.", "make room.")}
    grant = hall.grant()
    session = await hall.gateway.open(grant)
    assert (await post(session, "/v1/messages", body()))[0] == 200
    assert error_of(await post(session, "/v1/messages", body())) == (451, "GL-GATEWAY-007")
    with pytest.raises(BackendError, match="the disk is full") as raised:
        await hall.gateway.close(grant.run_id)
    assert raised.value.code == "GL-GATEWAY-007"
    assert not session.socket.exists()
    assert len(stub.seen) == 1


async def test_a_receipt_that_the_task_cannot_take_counts_as_lost(hall: Hall, stub: Stub) -> None:
    async def broken(receipt: TurnReceipt) -> None:
        raise RuntimeError("no database")

    grant = hall.grant(on_turn=broken)
    session = await hall.gateway.open(grant)
    await post(session, "/v1/messages", body())
    with pytest.raises(BackendError, match="RuntimeError"):
        await hall.gateway.close(grant.run_id)
    assert len(hall.ledger.of("outcome")) == 1


async def test_the_platforms_own_bad_key_is_the_operators_to_mend(stub: Stub, socket_dir: Path) -> None:
    hall = hall_of(anthropic(stub, "sk-another-key"), socket_dir)
    async with hall.run() as run:
        status, answer = await run.ask()
        await run.close()
    assert error_of((status, answer)) == (451, "GL-GATEWAY-010")
    assert b"sk-another" not in answer
    assert [(one.status, one.cost_usd_micros) for one in hall.receipts] == [(401, 0)]
    await hall.gateway.shutdown()


@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_an_endpoints_own_error_passes_and_costs_nothing(hall: Hall, stub: Stub, status: int) -> None:
    error = {"type": "error", "error": {"type": "x_error", "message": "as it is"}}

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(error, status=status, headers={"retry-after": "3", "set-cookie": "a=b"})

    stub.answer = answer
    async with hall.run() as run:
        assert (await run.ask(stream=True)) == (status, json.dumps(error).encode())
        await run.close()
    assert [(one.status, one.cost_usd_micros) for one in hall.receipts] == [(status, 0)]


async def test_an_endpoint_that_is_not_there_is_told_as_overload_and_costs_nothing(
    stub: Stub, socket_dir: Path
) -> None:
    stub.url = "http://127.0.0.1:1"
    hall = hall_of(anthropic(stub), socket_dir)
    async with hall.run() as run:
        assert error_of(await run.ask()) == (529, "GL-EGRESS-010")
        await run.close()
    assert [(one.status, one.cost_usd_micros) for one in hall.receipts] == [(0, 0)]
    assert [entry["outcome"] for entry in hall.ledger.of("outcome")] == ["not_sent"]
    await hall.gateway.shutdown()


async def test_a_stream_that_breaks_ends_in_an_error_event_and_costs_the_reserve(hall: Hall, stub: Stub) -> None:
    start = stream_of()[:400]

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return await stub.stream(request, [start], pause=0.1, cut=True)

    stub.answer = answer
    async with hall.run() as run:
        status, text = await run.ask(stream=True, max_tokens=1000)
        await run.close()
    assert status == 200
    assert text.startswith(start)
    assert text[len(start) :].startswith(b"event: error\ndata: {")
    assert b"GL-EGRESS-012" in text
    (receipt,) = hall.receipts
    assert receipt.output_tokens == 1000
    assert receipt.cost_usd_micros >= 15_000
    (outcome,) = hall.ledger.of("outcome")
    assert (outcome["outcome"], outcome["facts"]["usage"]) == ("broken_off", "reserved")


async def test_an_answer_without_usage_costs_the_reserve(hall: Hall, stub: Stub) -> None:
    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return await stub.stream(request, [sse(("message_start", {}), ("message_stop", {}))])

    stub.answer = answer
    async with hall.run() as run:
        await run.ask(stream=True, max_tokens=1000)
        await run.close()
    assert hall.ledger.of("outcome")[0]["facts"]["usage"] == "reserved"
    assert hall.receipts[0].cost_usd_micros >= 15_000


async def test_a_harness_that_goes_away_ends_the_call_at_the_endpoint_and_settles_it(hall: Hall, stub: Stub) -> None:
    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return await stub.stream(request, [stream_of()[:300]] + [b": wait\n\n"] * 1000, pause=0.05)

    stub.answer = answer
    async with hall.run() as run:
        reader, writer = await asyncio.open_unix_connection(str(run.session.socket))
        request = body(stream=True)
        head = f"POST /v1/messages HTTP/1.1\r\nhost: g\r\nx-api-key: {run.session.token}\r\n"
        writer.write(head.encode() + f"content-length: {len(request)}\r\n\r\n".encode() + request)
        await reader.readuntil(b"message_start")
        writer.close()
        await asyncio.wait_for(stub.gone.wait(), 3)
        for _ in range(100):
            if hall.receipts:
                break
            await asyncio.sleep(0.02)
    assert hall.receipts[0].cost_usd_micros >= 15_000
    assert hall.ledger.of("outcome")[0]["outcome"] == "broken_off"


async def test_a_decision_that_was_begun_for_a_harness_now_gone_is_still_told_to_its_end(
    hall: Hall, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, append = asyncio.Event(), hall.ledger.append
    loop = asyncio.get_running_loop()

    def slow(entry: Any, *, key: str) -> int:
        if entry["kind"] == "decision":
            loop.call_soon_threadsafe(begun.set)
            time.sleep(0.3)
        return append(entry, key=key)

    monkeypatch.setattr(hall.ledger, "append", slow)
    async with hall.run(cap_usd_micros=20_000) as run:
        call = asyncio.create_task(run.ask())
        await begun.wait()
        call.cancel()
        await asyncio.wait([call])
        await asyncio.sleep(0.5)
        assert [entry["outcome"] for entry in hall.ledger.of("outcome")] == ["not_sent"]
        assert stub.seen == []
        assert (await run.ask())[0] == 200  # and its reserve was given back


async def test_closing_a_run_ends_and_settles_its_calls_and_forgets_it(hall: Hall, stub: Stub) -> None:
    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return await stub.stream(request, [stream_of()[:300]] + [b": wait\n\n"] * 1000, pause=0.05)

    stub.answer = answer
    async with hall.run() as run:
        calls = [asyncio.create_task(run.ask(stream=True)) for _ in range(3)]
        while len(stub.seen) < 3:
            await asyncio.sleep(0.01)
        await run.close()
        assert len(hall.receipts) == 3  # settled when `close` returns, not some time later
        await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 3)
        with pytest.raises(OSError, match=r"No such file|refused"):
            await run.ask()
    assert {receipt.number for receipt in hall.receipts} == {1, 2, 3}
    await hall.gateway.close(run.grant.run_id)
    await hall.gateway.close("run_never_opened")


async def test_a_call_that_takes_too_long_is_ended(stub: Stub, socket_dir: Path) -> None:
    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    stub.answer = answer
    hall = hall_of(anthropic(stub), socket_dir, call_seconds=0.3)
    async with hall.run() as run:
        assert error_of(await run.ask()) == (451, "GL-GATEWAY-006")
        await run.close()
    assert hall.receipts[0].cost_usd_micros >= 15_000
    await hall.gateway.shutdown()


async def test_opening_a_run_again_ends_its_former_session_and_decides_anew(hall: Hall, stub: Stub) -> None:
    grant = hall.grant()
    first = await hall.gateway.open(grant)
    await post(first, "/v1/messages", body())
    second = await hall.gateway.open(grant)
    assert not first.socket.exists()
    assert first.token != second.token
    await post(second, "/v1/messages", body())
    await hall.gateway.close(grant.run_id)
    decisions = [entry["decision_id"] for entry in hall.ledger.of("decision")]
    assert len(set(decisions)) == 2  # the same bytes left twice, and each time was decided


async def test_an_endpoint_that_is_not_configured_names_those_that_are(hall: Hall) -> None:
    with pytest.raises(OperatorError, match=f"`{ENDPOINT}`") as raised:
        await hall.gateway.open(hall.grant(endpoint="elsewhere"))
    assert raised.value.code == "GL-GATEWAY-001"


async def test_the_socket_may_be_used_by_another_user_and_found_by_nobody(hall: Hall) -> None:
    async with hall.run() as run:
        mode = run.session.socket.stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o666
        assert stat.S_IMODE(run.session.socket.parent.stat().st_mode) == 0o711
        assert len(run.session.token) > 60


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_reaches_the_socket_but_cannot_list_the_folder(stub: Stub, socket_dir: Path) -> None:
    socket_dir.parent.chmod(0o755)
    hall = hall_of(anthropic(stub), socket_dir)
    async with hall.run() as run:
        program = (
            "import os,socket,sys\nos.setgroups([]);os.setgid(54321);os.setuid(54321)\n"
            "s=socket.socket(socket.AF_UNIX);s.connect(sys.argv[1])\n"
            "s.sendall(b'HEAD / HTTP/1.1\\r\\nhost: g\\r\\nconnection: close\\r\\n\\r\\n');print(s.recv(15).decode())\n"
            "try: print(os.listdir(os.path.dirname(sys.argv[1])))\nexcept PermissionError: print('hidden')\n"
        )
        process = await asyncio.create_subprocess_exec(
            "/usr/bin/env", "python3", "-c", program, str(run.session.socket), stdout=-1
        )
        output, _ = await process.communicate()
    assert output.decode().splitlines() == ["HTTP/1.1 200 OK", "hidden"]
    await hall.gateway.shutdown()


async def test_a_path_too_long_for_a_socket_is_told(hall: Hall, tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 100)
    gateway = LocalGateway(
        hall.gateway._upstreams, hall.gateway._door, hall.gateway._clock, too_long, sight=PlainSight()
    )
    with pytest.raises(OperatorError, match="107 bytes") as raised:
        await gateway.open(hall.grant())
    assert raised.value.code == "GL-GATEWAY-002"


async def test_sockets_of_a_killed_process_are_swept_and_living_ones_stay(
    hall: Hall, stub: Stub, socket_dir: Path
) -> None:
    socket_dir.mkdir()
    stale, foreign = socket_dir / "gw-stale", socket_dir / "gw-a-file"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(stale))
    foreign.write_text("kept")
    async with hall.run() as living:
        for path in (stale, foreign, living.session.socket):
            os.utime(path, (1, 1))
        async with hall.run():
            assert not stale.exists()
            assert foreign.exists()
            assert (await living.ask())[0] == 200


async def test_a_call_of_the_platforms_own_goes_the_same_way(hall: Hall, stub: Stub) -> None:
    answer = json.loads(await hall.gateway.complete(hall.grant(run_id="run_own"), body()))
    assert answer["content"][0]["text"] == "hi"
    (decision,), (outcome,) = hall.ledger.of("decision"), hall.ledger.of("outcome")
    assert hall.receipts == [TurnReceipt(1, ENDPOINT, MODEL, 100, 20, 600, decision["decision_id"], "us", 200)]
    assert (decision["stage"], decision["principal"]) == ("prompt", "agent:run_own")
    assert outcome["facts"]["cost_usd_micros"] == 600


@pytest.mark.parametrize(
    ("grant", "fields", "code"),
    [
        ({"cap_usd_micros": 0}, {}, "GL-BUDGET-001"),
        ({"max_calls": 0}, {}, "GL-BUDGET-003"),
        ({"endpoint": "another"}, {}, "GL-GATEWAY-001"),
        ({"label": Label("restricted")}, {}, "GL-POLICY-001"),
        ({}, {"messages": []}, "GL-GATEWAY-004"),
        ({}, {"mcp_servers": [{"url": "https://example.org"}]}, "GL-GATEWAY-005"),
        ({}, {"model": "priceless"}, "GL-BUDGET-002"),
    ],
)
async def test_a_call_of_the_platforms_own_is_refused_as_an_agents(
    hall: Hall, stub: Stub, grant: dict[str, Any], fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(GreylagError) as refused:
        await hall.gateway.complete(hall.grant(**grant), body(**fields))
    assert refused.value.code == code
    assert (stub.seen, hall.receipts) == ([], [])


async def test_a_call_of_the_platforms_own_whose_receipt_is_lost_says_so(hall: Hall, stub: Stub) -> None:
    hall.ledger.fails_on = {"outcome": OSError("the disk is full")}
    with pytest.raises(BackendError) as lost:
        await hall.gateway.complete(hall.grant(), body())
    assert lost.value.code == "GL-GATEWAY-007"
