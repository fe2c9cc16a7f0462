"""Where policy wants pseudonyms: the endpoint never sees who it is about, the harness never sees anything else.

Everything is real but the endpoint: shipped packs, facts and scanner, the discharger, the door, the gateway.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from models_stage import ENDPOINT, MODEL, ListLedger, RealClock, Stub, anthropic, sse, stream_of

from greylag.adapters.models.conformance import post
from greylag.adapters.models.gateway import LocalGateway
from greylag.adapters.models.port import RunGrant, TurnReceipt
from greylag.app.install.law.lawbook import read_scanner
from greylag.app.install.law.statutes import LivePolicy
from greylag.app.settings import RegionSettings, Settings
from greylag.delivery.governing.discharging import Discharger, Pseudonyms
from greylag.delivery.governing.labelling import Labels
from greylag.domain.labels import Label
from greylag.domain.repository import Repository
from greylag.egress.door import Door
from greylag.governance.decision import decision_from

MAIL, OTHER = "marigold.quince@firstbank.example.com", "otto.zander@firstbank.example.com"
ROW = 'source = "made up"\nretrieved = 2026-01-02\nstatus = "in_force"\ncertainty = "O"\n'
FACTS = f"""schema_version = 2

[[processor]]
name = "Far Inc."
legal_entity = "Far Inc."
seat = "US"
{ROW}
[[target]]
kind = "endpoint"
name = "{ENDPOINT}"
places = ["US"]
processor = "Far Inc."
pinned = true
trains_by_default = false
retention_days = 0
{ROW}
[[mechanism]]
name = "idta-far"
kind = "idta"
regime = "uk-gdpr"
processor = "Far Inc."
importers = ["US"]
assessment = "TRA 7"
assessed_on = 2026-01-03
assessed_by = "the officer"
{ROW}
[[opening]]
kind = "endpoint"
name = "{ENDPOINT}"
max_level = "internal"
{ROW}"""
REPOSITORY = Repository("murmur", "local")


@dataclass
class Install:
    """A gateway under the law in force, and everything that was seen around it."""

    gateway: LocalGateway
    ledger: ListLedger
    labels: Labels
    receipts: list[TurnReceipt]

    def grant(self, run_id: str = "run_1", task_id: str = "task_1") -> RunGrant:
        label = self.labels.of_repository(REPOSITORY)
        return RunGrant(task_id, run_id, "local", ENDPOINT, label, 5_000_000, 0, 50, self.keep, REPOSITORY.name)

    async def keep(self, receipt: TurnReceipt) -> None:
        self.receipts.append(receipt)

    @property
    def decisions(self) -> list[dict[str, Any]]:
        return self.ledger.of("decision")


@pytest.fixture
async def install(stub: Stub, socket_dir: Path, tmp_path: Path) -> AsyncIterator[Install]:
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts" / "far.toml").write_text(FACTS)
    clock, ledger, scanner = RealClock(), ListLedger(), read_scanner()
    settings = Settings(region=RegionSettings(name="local", jurisdiction="GB"))
    policy = await asyncio.to_thread(LivePolicy, settings, tmp_path, (("store", "control-plane"),), clock)
    pseudonyms = Pseudonyms(b"p" * 32)
    labels = Labels(scanner, policy.facts_today, "local", b"s" * 32, pseudonyms)
    discharger = Discharger(
        scanner, policy.facts_today, pseudonyms, sign_offs=tuple, repository=lambda name: REPOSITORY,
        link=lambda task: f"http://127.0.0.1/tasks/{task}", now=clock.now,
    )  # fmt: skip
    door = Door(policy, ledger, clock, "local", discharger)
    gateway = LocalGateway({ENDPOINT: anthropic(stub)}, door, clock, socket_dir, sight=labels)
    yield Install(gateway, ledger, labels, [])
    await gateway.shutdown()


async def ask(
    install: Install, text: str, *, run_id: str = "run_1", task_id: str = "task_1", **fields: Any
) -> tuple[int, bytes]:
    session = await install.gateway.open(install.grant(run_id, task_id))
    request = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": text}], **fields}
    try:
        return await post(session, "/v1/messages", msgspec.json.encode(request))
    finally:
        await install.gateway.close(run_id)


def echoing(stub: Stub, seen: list[bytes]) -> None:
    """Have the endpoint keep the bytes it gets, and answer with the prompt's own words."""

    async def answer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        seen.append(await request.read())
        said = fields["messages"][-1]["content"]
        if not fields.get("stream"):
            usage = {"input_tokens": 100, "output_tokens": 20}
            content = [{"type": "text", "text": f"You said: {said}"}]
            return web.json_response({"type": "message", "content": content, "usage": usage})
        parts = [sse(*events_of(said, size)) for size in (5,)]
        return await stub.stream(request, [stream_of("thinking")[:200], stream_of("thinking")[200:], *parts])

    stub.answer = answer


def events_of(said: str, size: int) -> list[tuple[str, dict[str, Any]]]:
    """Return a further text block and the arguments of a call, both holding ``said``, a few characters at a time."""
    arguments = json.dumps({"to": said, "quoted": f'"{said}"'})
    blocks = [(7, {"type": "text", "text": ""}, "text_delta", "text", said)]
    blocks += [
        (8, {"type": "tool_use", "id": "t", "name": "w", "input": {}}, "input_json_delta", "partial_json", arguments)
    ]
    events: list[tuple[str, dict[str, Any]]] = []
    for index, start, kind, field, whole in blocks:
        events.append(("content_block_start", {"index": index, "content_block": start}))
        for place in range(0, len(whole), size):
            delta = {"type": kind, field: whole[place : place + size]}
            events.append(("content_block_delta", {"index": index, "delta": delta}))
        events.append(("content_block_stop", {"index": index}))
    return events


def told(stream: bytes, field: str) -> str:
    """Return the text of one kind of deltas, put together as a harness does."""
    lines = [json.loads(line[5:]) for line in stream.split(b"\n") if line.startswith(b"data:")]
    return "".join(line["delta"].get(field, "") for line in lines if line["type"] == "content_block_delta")


async def test_the_endpoint_never_sees_the_address_and_the_harness_gets_it_back(install: Install, stub: Stub) -> None:
    seen: list[bytes] = []
    echoing(stub, seen)
    status, reply = await ask(install, f"Please write to {MAIL} about it.")
    assert status == 200
    (sent,) = seen
    assert MAIL.encode() not in sent
    assert b"marigold" not in sent
    assert b"psn-email-" in sent
    assert json.loads(reply)["content"][0]["text"] == f"You said: Please write to {MAIL} about it."
    assert b"psn-" not in reply


async def test_the_ledger_tells_both_rounds_and_what_was_done_between(install: Install, stub: Stub) -> None:
    seen: list[bytes] = []
    echoing(stub, seen)
    await ask(install, f"Please write to {MAIL} about it.")
    first, second = install.decisions
    assert [entry["kind"] for entry in install.ledger.entries] == [
        "decision",
        "declassification",
        "decision",
        "outcome",
    ]
    (record,), (outcome,) = install.ledger.of("declassification"), install.ledger.of("outcome")
    assert (first["permitted"], first["round"], first["supersedes"]) == (False, 1, "")
    assert (second["permitted"], second["round"], second["supersedes"]) == (True, 2, first["decision_id"])
    assert any("pseudonymise" in obligation for obligation in first["obligations"])
    assert second["discharged"] == {"applied": ["pseudonymise"], "approvals": [], "residual_findings": 0}
    assert record["decision_id"] == first["decision_id"]
    assert record["transformation"].startswith("pseudonymise@")
    assert record["residual_findings"] == 0
    assert (record["task_id"], record["repository"], record["region"]) == ("task_1", "murmur", "local")
    assert record["input_digest"] == first["asset"]["digest"]
    assert record["output_digest"] == second["asset"]["digest"] == f"sha256:{hashlib.sha256(seen[0]).hexdigest()}"
    assert second["asset"]["size_bytes"] == len(seen[0])
    assert "user.contact.email" in first["asset"]["classes"]
    assert "user.contact.email" not in second["asset"]["classes"]
    assert "user.unique_id.pseudonymous" in second["asset"]["classes"], "it stays personal data"
    assert first["asset"]["subjects"] == second["asset"]["subjects"] != []
    assert outcome["decision_id"] == second["decision_id"] == install.receipts[0].decision_id
    assert MAIL not in json.dumps(install.ledger.entries)
    for entry in install.decisions:
        assert decision_from(entry).decision_id == entry["decision_id"]


async def test_a_streamed_reply_is_restored_in_text_and_in_arguments(install: Install, stub: Stub) -> None:
    seen: list[bytes] = []
    echoing(stub, seen)
    text = f'{MAIL} and {OTHER}, "both" at C:\\temp ☃'
    status, reply = await ask(install, text, stream=True)
    assert status == 200
    assert MAIL.encode() not in seen[0]
    assert OTHER.encode() not in seen[0]
    assert told(reply, "text") == f"thinking{text}"
    assert json.loads(told(reply, "partial_json")) == {"to": text, "quoted": f'"{text}"'}
    assert b"psn-" not in reply


async def test_what_holds_nobody_goes_as_it_is_in_one_round(install: Install, stub: Stub) -> None:
    seen: list[bytes] = []
    echoing(stub, seen)
    status, _ = await ask(install, "Please make the adder add.")
    assert status == 200
    assert json.loads(seen[0])["messages"] == [{"role": "user", "content": "Please make the adder add."}]
    (decision,) = install.decisions
    assert (decision["permitted"], decision["round"], decision["discharged"]["applied"]) == (True, 1, [])
    assert decision["asset"]["subjects"] == []


async def test_one_person_is_one_pseudonym_in_a_task_and_another_in_the_next(install: Install, stub: Stub) -> None:
    seen: list[bytes] = []
    echoing(stub, seen)
    for run_id, task_id in (("run_1", "task_1"), ("run_2", "task_1"), ("run_3", "task_2")):
        status, reply = await ask(install, f"to {MAIL}", run_id=run_id, task_id=task_id)
        assert (status, json.loads(reply)["content"][0]["text"]) == (200, f"You said: to {MAIL}")
    words = [json.loads(sent)["messages"][-1]["content"] for sent in seen]
    assert words[0] == words[1] != words[2]


async def test_the_label_that_was_not_lowered_below_what_the_operator_said(install: Install, stub: Stub) -> None:
    """Confidential by the operator's word: a pseudonym makes it no less confidential, and it does not go."""
    grant = install.grant()
    confidential = grant.label.joined(Label("confidential"))
    session = await install.gateway.open(RunGrant(
        "task_1", "run_1", "local", ENDPOINT, confidential, 5_000_000, 0, 50, install.keep, REPOSITORY.name
    ))  # fmt: skip
    request = {"model": MODEL, "max_tokens": 500, "messages": [{"role": "user", "content": f"to {MAIL}"}]}
    status, reply = await post(session, "/v1/messages", msgspec.json.encode(request))
    await install.gateway.close("run_1")
    assert status == 451
    assert b"GL-POLICY-001" in reply
    assert stub.seen == []
    assert not any(entry["permitted"] for entry in install.decisions)


async def test_a_pseudonym_of_another_task_stays_what_it_is(install: Install, stub: Stub) -> None:
    seen: list[bytes] = []
    echoing(stub, seen)
    await ask(install, f"to {MAIL}", run_id="run_1", task_id="task_1")
    foreign = json.loads(seen[0])["messages"][-1]["content"].removeprefix("to ")
    status, reply = await ask(install, f"what is {foreign}? ask {OTHER}", run_id="run_2", task_id="task_2")
    assert status == 200
    assert json.loads(reply)["content"][0]["text"] == f"You said: what is {foreign}? ask {OTHER}"
    assert MAIL.encode() not in reply
    assert foreign.encode() not in seen[1], (
        "what reads like a pseudonym is replaced too, so that it comes back as it was"
    )
