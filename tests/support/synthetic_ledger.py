"""Ledger entries as the door and the store write them, made by the real writer, for tests of what reads a ledger."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.decision import Decision, entry_of
from greylag.governance.facts import FactBase, parse_facts
from greylag.governance.question import Asset, Discharged, Question, Target, Verdict

VAULT = Target("store", "vault:local")
CONTROL = Target("store", "control-plane")
SANDBOX = Target("sandbox", "bubblewrap")
FORGE = Target("forge", "builtin")
CHAT = Target("chat", "thread:local")
ENDPOINT = Target("endpoint", "anthropic")
INDEX = Target("host", "package-index")
#: What a whole task moves: asset kind → where it is put, besides the vault.
NINE = ("request", "repository", "prompt", "transcript", "diff", "report", "build", "card", "evidence")


def digest(text: str) -> str:
    """Return the digest of some content."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass
class SyntheticLedger:
    """Collects entries in order, one second apart; decision ids count up, so the same calls give the same ledger."""

    entries: list[dict[str, object]] = field(default_factory=list)
    start: datetime = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)

    def decide(
        self, stage: str, kind: str, target: Target, *, task: str = "task_1", repository: str = "music",
        principal: str = "platform:greylag", action: str = "store", content: str | None = None, permitted: bool = True,
        label: Label | None = None, origin: str = "local", subjects: tuple[str, ...] = (), outcome: str = "",
        place: str = "", **more: object,
    ) -> str:  # fmt: skip
        """Add a decision, with its outcome where one is given, and return its id."""
        number = len(self.entries)
        at = self.start + timedelta(seconds=number)
        text = f"{task}/{kind}" if content is None else content
        asset = Asset(kind, label or Label.of("internal"), origin, digest(text) if text else "", 100, (), subjects)
        rules = ("house.keep-at-home",) if not permitted else ("house.own",)
        verdict = Verdict(
            permitted, rules, ("because",), (), (f"{target.kind}/{target.name}",), "world", certainty="O",
            errors=(),
        )  # fmt: skip
        question = Question(Stage(stage), principal, action, asset, target, at, Discharged())
        decision_id = f"dec_{number:026d}"
        entry = entry_of(Decision(decision_id, task, repository, "local", question, verdict))
        self._append({**entry, **more}, decision_id)
        if outcome:
            facts = {"observed_place": place} if place else {}
            seen = {
                "kind": "outcome", "decision_id": decision_id, "stage": stage, "region": "local", "outcome": outcome,
                "facts": facts,
            }  # fmt: skip
            self._append(seen, f"{decision_id}/outcome")
        return decision_id

    def add(self, entry: Mapping[str, object]) -> None:
        """Add an entry as it is."""
        self._append(entry, f"key-{len(self.entries)}")

    def _append(self, entry: Mapping[str, object], key: str) -> None:
        at = (self.start + timedelta(seconds=len(self.entries))).isoformat().replace("+00:00", "Z")
        # Through JSON and back, as what is read from a ledger.
        self.entries.append(json.loads(json.dumps({"at": at, "attempt": 1, "key": key, **entry})))

    def task(self, task: str = "task_1", repository: str = "music", *, mark: str = "", seen: bool = True) -> None:
        """Add what a whole task decides: nine kinds of asset. ``mark`` is on five of them; ``seen``: with outcomes."""
        marks = (mark,) if mark else ()
        done = "stored" if seen else ""

        def keep(kind: str, subjects: tuple[str, ...] = ()) -> None:
            self.decide("artifact", kind, VAULT, task=task, repository=repository, outcome=done, subjects=subjects)

        person = f"person:ann-{task}"
        self.decide("intake", "request", CONTROL, task=task, repository="", principal=person, action="ask", content="")
        keep("request")
        self.decide("placement", "run", Target("pool", "bubblewrap@local"), task=task, repository=repository)
        self.decide("placement", "run", ENDPOINT, task=task, repository=repository)
        where = "checked_out" if seen else ""
        self.decide("checkout", "repository", SANDBOX, task=task, repository=repository, content="", outcome=where)
        keep("prompt", marks)
        sent = "sent" if seen else ""
        self.decide(
            "prompt", "prompt", ENDPOINT, task=task, repository=repository, principal=f"agent:run_{task}",
            action="send", outcome=sent, place="us" if seen else "", subjects=marks,
        )  # fmt: skip
        for kind in ("transcript", "report"):
            keep(kind, marks)
        for kind in ("diff", "build", "evidence"):
            keep(kind)
        keep("message", marks)
        posted = "posted" if seen else ""
        self.decide(
            "chat", "card", CHAT, task=task, repository=repository, content=f"{task}/message", outcome=posted,
            subjects=marks,
        )  # fmt: skip
        self.decide(
            "push", "diff", FORGE, task=task, repository=repository, outcome="pushed" if seen else "", action="push"
        )
        self.decide("retain", "task", VAULT, task=task, repository=repository, action="retain-90-days", content=task)

    @property
    def bodies(self) -> list[bytes]:
        """The entries as canonical JSON, as the store keeps them."""
        return [json.dumps(each, sort_keys=True, separators=(",", ":")).encode() for each in self.entries]


_BASIS = {"source": "a test", "retrieved": "2026-01-01", "status": "in_force", "certainty": "A"}


def _row(**values: object) -> dict[str, object]:
    return {**values, **_BASIS}


def _company(kind: str, name: str, processor: str, places: list[str], **more: object) -> dict[str, object]:
    return _row(
        kind=kind, name=name, processor=processor, places=places, pinned="anywhere" not in places,
        trains_by_default=False,
        max_level="restricted", **more,
    )  # fmt: skip


def facts_for_tests(jurisdiction: str = "DE", day: date = date(2026, 11, 2)) -> FactBase:
    """Return facts about what `SyntheticLedger` names: own targets in ``jurisdiction``, and a few companies.

    ``endpoint/anthropic`` is in the US and its sub-processor in India, ``endpoint/everywhere`` anywhere,
    ``endpoint/european`` in any of two countries, ``endpoint/nobody`` has no row.
    """
    own = [
        _company(target.kind, target.name, "", ["local"])
        for target in (VAULT, CONTROL, SANDBOX, FORGE, CHAT, Target("pool", "bubblewrap@local"))
    ]
    companies = [
        _row(
            name="Anthropic PBC",
            legal_entity="Anthropic PBC",
            seat="US",
            controlled_by=[{"country": "US", "basis": "CLOUD Act"}],
        ),
        _row(name="Cloud Co", legal_entity="Cloud Company Ltd", seat="IN", operates_in=["IN"]),
        _row(name="Maison", legal_entity="Maison SAS", seat="FR", parents=["Holding"]),
        _row(name="Holding", legal_entity="Holding Inc.", seat="US"),
        _row(name="Python Software Foundation", legal_entity="Python Software Foundation", seat="US"),
    ]
    targets = [
        _company(
            "endpoint", "anthropic", "Anthropic PBC", ["US"], sub_processors=["Cloud Co"], retention_days=30,
            contracting_entity="Anthropic Ireland, Limited",
        ),
        _company("endpoint", "everywhere", "Anthropic PBC", ["anywhere"]),
        _company("endpoint", "european", "Maison", ["FR", "SE"]),
        _company("host", "package-index", "Python Software Foundation", ["anywhere"]),
    ]  # fmt: skip
    eu = ["DE", "FR", "SE", "IE"]
    data = {
        "schema_version": 2,
        "jurisdiction": [_row(code=code, name=code) for code in (*eu, "US", "IN")],
        "place": [_row(name="local", jurisdictions=[jurisdiction])],
        "zone": [_row(name="EU27", members=eu)],
        "processor": companies,
        "target": [*own, *targets],
        "regime": [_row(name="eu-gdpr", title="GDPR", classes=["user"], origins=["zone:EU27"], home=["zone:EU27"])],
        "mechanism": [
            _row(
                name="scc-anthropic", kind="scc", regime="eu-gdpr", processor="Anthropic PBC", importers=["US", "IN"],
                module="2", assessment="TIA-7", assessed_on="2026-05-01", assessed_by="dpo",
            )
        ],
    }  # fmt: skip
    return parse_facts(data).as_of(day, day)


#: A label that the GDPR follows.
PERSONAL = Label.of("confidential", classes=("user.contact.email",), origins=("DE",), subjects=3)
