"""An install that is made up, to try drills on: its people, tasks and prices are invented, its decisions are not.

Every movement is asked at the real door, under the shipped packs and facts, and stands in a real ledger. What an
operator would have to check before opening a vendor is entered as checked, and says that it is an example's word.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from greylag.adapters.store.opening import Control
from greylag.adapters.store.port import Deployment
from greylag.adapters.vault.backends.local import LocalVault
from greylag.app.bootstrap import open_stores, places_of
from greylag.app.install.clock import SystemClock
from greylag.app.install.home import prepare_home
from greylag.app.install.law.lawbook import read_world
from greylag.app.install.law.worlds import keep_world
from greylag.app.settings import FILE_NAME, ModelSettings, RegionSettings, Settings
from greylag.domain import events as ev
from greylag.domain.clock import Clock
from greylag.domain.errors import PolicyRefused, RequestRefused
from greylag.domain.ids import BuildId, ChangeId, RunId, TaskId, derived_id, new_id
from greylag.domain.references import Reference
from greylag.domain.repository import Environment, Repository
from greylag.domain.stages import Stage
from greylag.egress.door import Door
from greylag.egress.hop import Hop
from greylag.governance.facts import FactBook, dump_facts
from greylag.governance.question import Asset, Discharged, Target
from greylag.governance.world import World

REGION, JURISDICTION = "fra-1", "DE"
#: Endpoints which the made-up operator has opened, and up to which level.
OPENED: Mapping[str, str] = {
    "anthropic": "public", "azure-us-datazone": "internal", "bedrock-eu": "internal", "bedrock-us": "internal",
    "bedrock-eu-central-1": "internal", "bedrock-eu-west-2": "internal", "mistral-eu": "internal",
    "ovhcloud": "internal",
}  # fmt: skip
_OWN = (("store", "control-plane"), ("pool", f"pool@{REGION}"), ("sandbox", "bubblewrap"), ("forge", "builtin"),
        ("chat", f"thread:{REGION}"))  # fmt: skip
_WORDS = "an example's word: in a real install a person has looked this up and signed for it"
_RUNS = ("pick up where it was left", "mend what the last change broke", "add what was asked for")


@dataclass(frozen=True, slots=True)
class _Plan:
    """A repository, and the endpoints its tasks were placed on."""

    repository: Repository
    endpoints: tuple[str, ...]


_PRODUCTION = Environment("production", REGION, ("python", "-m", "player"))
PLANS = (
    _Plan(
        Repository(
            "player",
            REGION,
            classes=("user.behavior",),
            origins=("DE", "FR"),
            environments=(_PRODUCTION,),
            owner="web-team",
        ),
        ("bedrock-us", "azure-us-datazone", "mistral-eu", "bedrock-eu-central-1", "bedrock-eu-west-2", "bedrock-eu"),
    ),
    _Plan(
        Repository("billing", REGION, classes=("user.contact.email", "user.payment"), origins=("DE",), owner="finance"),
        ("bedrock-eu", "mistral-eu", "bedrock-us"),
    ),
    _Plan(
        Repository("staff", REGION, classes=("user.job_title",), origins=("DE",), owner="people"),
        ("bedrock-eu", "mistral-eu"),
    ),
    _Plan(
        Repository("recommender", REGION, classes=("code.proprietary",), origins=("DE",), owner="research"),
        ("mistral-eu", "bedrock-eu", "mistral-eu"),
    ),
    _Plan(
        Repository("royalties", REGION, classes=("code",), origins=("GB",), owner="finance"),
        ("bedrock-eu", "bedrock-eu-west-2", "azure-germanywestcentral", "mistral-eu"),
    ),
    _Plan(Repository("site", REGION, "public", owner="web-team"), ("anthropic", "mistral-eu")),
)


def make_example(folder: Path, clock: Clock | None = None) -> dict[str, Any]:
    """Make ``folder`` the home of a made-up install with a history; return how much of it there is.

    Raises RequestRefused ``GL-WHATIF-008`` where the folder is there already.
    """
    clock = clock or SystemClock()
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise RequestRefused(
            "GL-WHATIF-008", f"{folder} can't be made: {error.strerror}.", "name a folder that is not there yet."
        ) from error
    prepare_home(folder)
    settings = made_up_settings()
    (folder / FILE_NAME).write_text(f'[region]\nname = "{REGION}"\njurisdiction = "{JURISDICTION}"\n')
    world = made_up_world(folder, clock.now().date())
    keep_world(folder, world)
    control, ledger, _ = open_stores(settings, folder)
    try:
        door = Door(world.policy(today=clock.now().date()), ledger, clock, REGION)
        teller = _Teller(door, clock, control, LocalVault(places_of(settings, folder).cell / "vault", REGION))
        for plan in PLANS:
            control.directory.add_repository(plan.repository, clock.now())
            for number, endpoint in enumerate(plan.endpoints, start=1):
                teller.tell(plan.repository, endpoint, number, last=number == len(plan.endpoints))
        return {
            "folder": str(folder), "tasks": teller.tasks, "decisions": teller.decisions, "denied": teller.denied,
            "entries": ledger.size(), "world": world.version,
        }  # fmt: skip
    finally:
        ledger.close()
        control.close()


def made_up_settings() -> Settings:
    """Return the settings of the example: one region, no model that anybody could call."""
    region = RegionSettings(name=REGION, jurisdiction=JURISDICTION)
    return Settings(region=region, model=ModelSettings(kind="none"))


def made_up_world(home: Path, today: date) -> World:
    """Write into ``home`` what the operator has opened and looked up, and return the world that makes."""
    settings = made_up_settings()
    (home / "facts").mkdir(mode=0o700)
    openings = [
        {"kind": "endpoint", "name": name, "max_level": level, **_basis(today)} for name, level in OPENED.items()
    ]  # fmt: skip
    _write(home / "facts" / "openings.toml", {"opening": openings})
    facts = read_world(settings, home, own=_OWN, today=today).book.as_of(today, today)
    opened = [row for row in facts.targets if row.kind == "endpoint" and row.name in OPENED]
    weak = {row.row: row for target in opened for row in facts.rows_behind(target) if row.basis.certainty == "K"}
    checked = dump_facts(FactBook(tuple(weak.values())))
    tables = {
        table: [{**row, **_basis(today)} for row in rows] for table, rows in checked.items() if isinstance(rows, list)
    }  # fmt: skip
    _write(home / "facts" / "looked-up.toml", tables)
    return read_world(settings, home, own=_OWN, today=today)


def _basis(today: date) -> dict[str, object]:
    return {"source": _WORDS, "retrieved": today.isoformat(), "status": "in_force", "certainty": "O"}


def _write(path: Path, tables: Mapping[str, list[dict[str, Any]]]) -> None:
    lines = ["schema_version = 2"]
    for table, rows in tables.items():
        for row in rows:
            lines += ["", f"[[{table}]]", *(f"{name} = {_toml(value)}" for name, value in row.items())]
    path.write_text("\n".join(lines) + "\n")


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


class _Teller:
    """Tells the story of one task after the other to the door, the event log and the vault."""

    def __init__(self, door: Door, clock: Clock, control: Control, vault: LocalVault) -> None:
        self._door = door
        self._clock = clock
        self._control = control
        self._vault = vault
        self.tasks = self.decisions = self.denied = 0

    def tell(self, repository: Repository, endpoint: str, number: int, *, last: bool) -> None:
        """Tell one task: the ``last`` of a repository is still under way, the others are done."""
        task_id = TaskId(new_id("task", self._clock.now(), self._clock.entropy(10)))
        self.tasks += 1
        ask = f"{_RUNS[number % len(_RUNS)]}, number {number}"
        if not self._admitted(self._hop(task_id, repository, Stage.INTAKE, "person:ada", "request", "control-plane")):
            return
        request = self._kept(task_id, repository, "request", ask.encode())
        received = ev.TaskReceived("example", "ada", request, ask, REGION, repository.name)
        self._record(task_id, received, "received")
        self._record(task_id, ev.TaskAccepted(repository.name, "change", repository.level, ""), "accepted")
        for hop in self._placements(task_id, repository, endpoint):
            if not self._admitted(hop):
                refused = ev.TaskRefused("GL-POLICY-001", f"{endpoint} may not have it", "use another endpoint", "")
                self._record(task_id, refused, "refused")
                return
        placed = ev.TaskPlaced(REGION, "bubblewrap", "claude", endpoint, f"runs in {REGION}", "")
        self._record(task_id, placed, "placed")
        self._work(task_id, repository, endpoint, number)
        if not last:
            self._finish(task_id, repository, number)

    def _placements(self, task_id: TaskId, repository: Repository, endpoint: str) -> Iterator[Hop]:
        yield self._hop(task_id, repository, Stage.PLACEMENT, "platform:greylag", "task", f"pool@{REGION}", "pool")
        yield self._hop(task_id, repository, Stage.PLACEMENT, "platform:greylag", "task", endpoint, "endpoint")

    def _work(self, task_id: TaskId, repository: Repository, endpoint: str, number: int) -> None:
        run_id = RunId(derived_id("run", task_id, "1", "1"))
        agent = f"agent:{run_id}"
        for stage, who, kind in (
            (Stage.CHECKOUT, "platform:greylag", "repository"),
            (Stage.CONTEXT, "platform:greylag", "prompt"),
            (Stage.TOOL, agent, "repository"),
        ):
            self._admitted(self._hop(task_id, repository, stage, who, kind, "bubblewrap", "sandbox"))
        prompt = self._kept(task_id, repository, "prompt", f"prompt {number}".encode())
        self._record(task_id, ev.RunStarted(run_id, 1, 1, "0" * 40, prompt, "1"), "started")
        for turn in range(1, 5):
            hop = self._hop(task_id, repository, Stage.PROMPT, agent, "prompt", endpoint, "endpoint")
            size = 12_000 + 4_000 * turn
            hop = replace(hop, key=f"{hop.key}/{turn}", asset=replace(hop.asset, size_bytes=size))
            if not self._admitted(hop):
                # What the discharger would have done before it asks again: names and numbers replaced, scan clean.
                self._admitted(replace(hop, key=f"{hop.key}/again", discharged=Discharged(("pseudonymise",))))
        self._admitted(
            self._hop(task_id, repository, Stage.CHAT, "platform:greylag", "card", f"thread:{REGION}", "chat")
        )

    def _finish(self, task_id: TaskId, repository: Repository, number: int) -> None:
        run_id = RunId(derived_id("run", task_id, "1", "1"))
        change_id = ChangeId(derived_id("chg", task_id))
        diff = self._kept(task_id, repository, "diff", f"diff {number}".encode())
        build = self._kept(task_id, repository, "build", f"build {repository.name} {number}".encode())
        tree = f"{number:040x}"
        captured = ev.ChangeCaptured(change_id, run_id, "0" * 40, tree, diff, ("app.py",), 3, 1)
        self._record(task_id, ev.RunFinished(run_id, "finished", ""), "finished")
        self._record(task_id, captured, "captured")
        self._record(task_id, ev.ChangeVerified(change_id, tree), "verified")
        stored = ev.BuildStored(BuildId(derived_id("bld", task_id)), change_id, f"{repository.name}-{number}", build)
        self._record(task_id, stored, "built")
        self._admitted(self._hop(task_id, repository, Stage.PUSH, "platform:greylag", "diff", "builtin", "forge"))
        for environment in repository.environments:
            target = f"environment:{repository.name}/{environment.name}"
            hop = self._hop(task_id, repository, Stage.DEPLOY, "platform:greylag", "build", target, "environment")
            if self._admitted(replace(hop, asset=replace(hop.asset, digest=build.digest))):
                live = Deployment(
                    repository.name, environment.name, build.digest, build, f"{repository.name}-{number}", task_id,
                    self._clock.now(),
                )  # fmt: skip
                self._control.deployments.record_deployment(live, key=f"deploy/{task_id}")
        self._record(task_id, ev.TaskCancelled("ada", "an example ends here"), "cancelled")

    def _hop(
        self, task_id: TaskId, repository: Repository, stage: Stage, who: str, kind: str, target: str,
        target_kind: str = "store",
    ) -> Hop:  # fmt: skip
        asset = Asset(kind, repository.label, REGION, surfaces=("title",) if stage is Stage.CHAT else ())
        where = Target(target_kind, target)
        return Hop(stage, who, "send", asset, where, f"{stage}/{kind}/{target}", task_id, repository.name)

    def _kept(self, task_id: TaskId, repository: Repository, kind: str, content: bytes) -> Reference:
        hop = self._hop(task_id, repository, Stage.ARTIFACT, "platform:greylag", kind, f"vault:{REGION}")
        self.decisions += 1
        passed = self._door.send(hop, content)
        return self._vault.put(passed.permit, content, kind=kind, subject=task_id, media_type="text/plain")

    def _admitted(self, hop: Hop) -> bool:
        self.decisions += 1
        try:
            self._door.admit(hop)
        except PolicyRefused:
            self.denied += 1
            return False
        return True

    def _record(self, task_id: TaskId, event: ev.Event, key: str) -> None:
        self._control.events.append(task_id, event, key=key, at=self._clock.now())
