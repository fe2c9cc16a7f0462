"""The one HTTP client against real sockets that answer as badly as they can."""

import asyncio
import contextlib
import datetime
import hashlib
import ipaddress
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from greylag.domain.errors import BackendError, GreylagError, IntegrityError, OperatorError
from greylag.domain.ids import DecisionId
from greylag.domain.stages import Stage
from greylag.egress.http import NOT_SENT, HttpBounds, HttpDoor, get_local
from greylag.egress.permit import Permit, mint

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
QUICK = HttpBounds(connect_seconds=1, silence_seconds=0.5, total_seconds=2, body_bytes=10_000, header_bytes=4096)


def permit(body: bytes = b"", target: str = "peer") -> Permit:
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    return mint(DecisionId("dec_1"), Stage.PROMPT, target, digest, 0)


def says(text: str | bytes, seen: list[bytes] | None = None) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if seen is not None:
            seen.append(head)
        writer.write(text if isinstance(text, bytes) else text.encode())
        await writer.drain()

    return answer


@contextlib.asynccontextmanager
async def peer(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await answer(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@contextlib.asynccontextmanager
async def opened(base: str, **named: object) -> AsyncIterator[HttpDoor]:
    door = HttpDoor(base, Stage.PROMPT, "peer", **{"bounds": QUICK, **named})  # type: ignore[arg-type]
    try:
        yield door
    finally:
        await door.close()


async def code_of(work: Awaitable[object]) -> tuple[str, bool]:
    with pytest.raises(GreylagError) as raised:
        await work
    return raised.value.code, getattr(raised.value, "transient", False)


async def fetched(door: HttpDoor, path: str = "/") -> bytes:
    reply = await door.request(permit(), "GET", path, {})
    return await reply.read()


OK = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"


async def test_a_reply_comes_with_status_lower_case_headers_and_body() -> None:
    seen: list[bytes] = []
    text = "HTTP/1.1 418 T\r\nX-Tea: yes\r\ncontent-length: 2\r\n\r\nhi"
    async with peer(says(text, seen)) as base, opened(base + "/v/") as door:
        reply = await door.request(permit(b"{}"), "POST", "/tea?x=1", {"X-Api-Key": "k"}, b"{}")
        assert (reply.status, reply.headers["x-tea"], await reply.read()) == (418, "yes", b"hi")
    head = seen[0].lower()
    assert head.startswith(b"post /v/tea?x=1 http/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in head
    assert b"user-agent: greylag\r\n" in head
    assert b"x-api-key: k\r\n" in head
    assert b"cookie" not in head


async def test_chunks_come_as_they_are_sent_not_at_the_end() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")

    async with peer(drip) as base, opened(base) as door:
        started = time.monotonic()
        reply = await door.request(permit(), "GET", "/", {})
        first = await anext(reply)
        assert first == b"x"
        assert time.monotonic() - started < 0.2
        assert b"".join([chunk async for chunk in reply]) == b"xx"


async def test_a_permit_of_another_hop_target_or_body_sends_nothing() -> None:
    seen: list[bytes] = []
    async with peer(says(OK, seen)) as base, opened(base) as door:
        other_stage = mint(DecisionId("dec_1"), Stage.PUSH, "peer", "", 0)
        made_up = Permit(DecisionId("dec_1"), Stage.PROMPT, "peer", "", 0, object())
        for wrong, body in ((permit(b"a"), b"b"), (permit(b"", "elsewhere"), b""), (other_stage, b""), (made_up, b"")):
            assert (await code_of(door.request(wrong, "POST", "/", {}, body)))[0] == "GL-EGRESS-001"
    assert seen == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/v1/x", "https://example.com/v1/x", "/../admin", "/%2e%2e/admin",
        "/a/../../b", "ftp://x/", "", "v1/x", "/x y", "/x\r\nhost: evil", "http://user@127.0.0.1/v1",
    ],
)  # fmt: skip
async def test_only_urls_below_the_base_are_asked(url: str) -> None:
    seen: list[bytes] = []
    async with peer(says(OK, seen)) as base, opened(base + "/v1") as door:
        assert (await code_of(door.request(permit(), "GET", url, {})))[0] == "GL-EGRESS-017"
    assert seen == []


async def test_a_sibling_that_only_begins_like_the_base_is_not_below_it() -> None:
    async with peer(says(OK)) as base, opened(base + "/v1") as door:
        assert (await code_of(door.request(permit(), "GET", base + "/v10/x", {})))[0] == "GL-EGRESS-017"
        assert await (await door.request(permit(), "GET", base + "/v1/x", {})).read() == b"hi"


@pytest.mark.parametrize(
    "headers",
    [{"x": "a\r\ny: b"}, {"x\r\ny": "b"}, {"x": "a\0"}, {"": "a"}, {"host": "evil"}, {"Accept-Encoding": "gzip"},
     {"Transfer-Encoding": "chunked"}, {"x": "\u2028"}],
)  # fmt: skip
async def test_headers_that_could_become_others_are_not_sent(headers: dict[str, str]) -> None:
    async with peer(says(OK)) as base, opened(base) as door:
        assert (await code_of(door.request(permit(), "GET", "/", headers)))[0] == "GL-EGRESS-017"


async def test_a_body_over_the_bound_is_not_sent() -> None:
    body = b"x" * 101
    async with peer(says(OK)) as base, opened(base, bounds=HttpBounds(request_bytes=100)) as door:
        assert (await code_of(door.request(permit(body), "POST", "/", {}, body)))[0] == "GL-EGRESS-017"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    followed: list[bytes] = []
    async with peer(says(OK, followed)) as elsewhere:
        text = f"HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}/x\r\ncontent-length: 0\r\n\r\n"
        async with peer(says(text)) as base, opened(base) as door:
            assert await code_of(door.request(permit(), "GET", "/", {})) == ("GL-EGRESS-014", False)
    assert followed == []


async def test_nobody_there_is_transient_and_was_not_sent() -> None:
    async with opened("http://127.0.0.1:1") as door:
        code, transient = await code_of(fetched(door))
    assert (code, transient) == ("GL-EGRESS-010", True)
    assert code in NOT_SENT


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(-1)


async def _drips_forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("answer", [_silent, _drips_forever])
async def test_patience_ends(answer: Answer) -> None:
    async with peer(answer) as base, opened(base, bounds=HttpBounds(silence_seconds=0.5, total_seconds=0.8)) as door:
        started = time.monotonic()
        assert await code_of(fetched(door)) == ("GL-EGRESS-011", True)
        assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    ("text", "code", "transient"),
    [
        ("", "GL-EGRESS-012", True),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhi", "GL-EGRESS-012", True),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", "GL-EGRESS-012", True),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", "GL-EGRESS-012", False),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nhi", "GL-EGRESS-016", False),
        ("HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n", "GL-EGRESS-013", False),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + "x" * 20_000, "GL-EGRESS-013", False),
        ("HTTP/1.1 200 OK\r\nx: " + "y" * 5000 + "\r\n\r\n", "GL-EGRESS-012", False),
        ("HTTP/1.1 200 OK\r\n" + "x: y\r\n" * 1000 + "\r\n", "GL-EGRESS-012", False),
        ("HTTP/1.1 200 OK\r\n" + f"x: {'y' * 1000}\r\n" * 5 + "content-length: 0\r\n\r\n", "GL-EGRESS-013", False),
    ],
)
async def test_a_bad_answer_has_a_name(text: str, code: str, transient: bool) -> None:
    async with peer(says(text)) as base, opened(base) as door:
        assert await code_of(fetched(door)) == (code, transient)


async def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    proxied: list[bytes] = []
    async with peer(says(OK, proxied)) as proxy, peer(says(OK)) as base:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy)
        async with opened(base) as door:
            assert await fetched(door) == b"hi"
        assert proxied == []
        async with opened(base, proxy=proxy) as door:
            assert await fetched(door) == b"hi"
        assert len(proxied) == 1


async def test_no_cookie_is_kept() -> None:
    seen: list[bytes] = []
    text = "HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi"
    async with peer(says(text, seen)) as base, opened(base) as door:
        await fetched(door)
        await fetched(door)
    assert b"cookie" not in seen[1].lower()


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context, folder / "cert.pem"


async def test_a_certificate_nobody_vouches_for_is_refused(self_signed: tuple[ssl.SSLContext, Path]) -> None:
    async with peer(says(OK), self_signed[0]) as base:
        async with opened(base) as door:
            assert await code_of(fetched(door)) == ("GL-EGRESS-015", False)
        async with opened(base, tls=ssl.create_default_context(cafile=self_signed[1])) as door:
            assert await fetched(door) == b"hi"


@pytest.mark.parametrize(
    "base",
    ["", "example.com", "ftp://example.com", "https://", "https://u:p@example.com", "https://example.com/?q",
     "https://example.com/#f", "http://example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "http://[::"],
)  # fmt: skip
def test_an_unusable_base_is_the_operators_to_mend(base: str) -> None:
    with pytest.raises(OperatorError) as refused:
        HttpDoor(base, Stage.PROMPT, "peer")
    assert refused.value.code == "GL-EGRESS-018"


@pytest.mark.parametrize("base", ["https://api.example.com", "http://127.0.0.1:8000/v1", "http://[::1]:8000"])
def test_a_usable_base_is_taken(base: str) -> None:
    assert HttpDoor(base, Stage.PROMPT, "peer").base_url == base


def test_plain_http_over_a_network_needs_the_unsafe_word() -> None:
    assert HttpDoor("http://10.0.0.1:8000", Stage.PROMPT, "peer", unsafe_plain_http=True)


async def test_closing_early_and_twice_is_fine_and_the_door_goes_on() -> None:
    async with peer(says(OK)) as base, opened(base) as door:
        reply = await door.request(permit(), "GET", "/", {})
        await reply.aclose()
        await reply.aclose()
        assert await fetched(door) == b"hi"


async def test_a_health_check_answers_with_status_and_a_cut_body() -> None:
    async with peer(says("HTTP/1.1 503 No\r\nconnection: close\r\n\r\n" + "x" * 9000)) as base:
        answer = await get_local(base + "/health", body_bytes=100)
    assert (answer.status, answer.body) == (503, b"x" * 100)


async def test_a_health_check_does_not_follow_redirects() -> None:
    async with peer(says("HTTP/1.1 302 F\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n")) as base:
        assert (await get_local(base + "/")).status == 302


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1/", "https://127.0.0.1/", "http://localhost.example.com/", "http://localhost/", "file:///etc/x",
     "http://u@127.0.0.1/", "http://0.0.0.0/", "", "http://[::"],
)  # fmt: skip
async def test_a_health_check_asks_nobody_but_this_machine(url: str) -> None:
    with pytest.raises(OperatorError, match="only ask this machine"):
        await get_local(url)


async def test_a_health_check_is_over_in_time() -> None:
    async with peer(_silent) as base:
        started = time.monotonic()
        with pytest.raises(BackendError) as raised:
            await get_local(base, timeout_seconds=0.3)
    assert raised.value.code == "GL-EGRESS-011"
    assert time.monotonic() - started < 1
    with pytest.raises(BackendError) as raised:
        await get_local("http://127.0.0.1:1/")
    assert raised.value.transient
    assert not isinstance(raised.value, IntegrityError)
