"""A small world for what-if: two vendors, a framework they rest on, a region of our own, and a law over them."""

import tomllib
from datetime import UTC, date, datetime

from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.decision import Decision
from greylag.governance.facts import FactBook, parse_facts
from greylag.governance.policy import CedarPolicy, Pack, parse_pack
from greylag.governance.question import Asset, Discharged, Question, Target
from greylag.governance.whatif import Changed, Drill, Pair, apply, parse_drill
from greylag.governance.world import World
from tests.support.source import ROOT

TODAY = date(2026, 6, 1)
_BASIS = 'source = "a test"\nretrieved = 2026-01-01\nstatus = "in_force"\ncertainty = "O"'

FACTS = f"""
schema_version = 2

[[jurisdiction]]
code = "DE"
name = "Germany"
{_BASIS}
[[jurisdiction]]
code = "FR"
name = "France"
{_BASIS}
[[jurisdiction]]
code = "US"
name = "United States"
{_BASIS}
[[zone]]
name = "EEA"
members = ["DE", "FR"]
{_BASIS}
[[place]]
name = "home"
jurisdictions = ["DE"]
{_BASIS}
[[place]]
name = "acme:de"
jurisdictions = ["DE"]
{_BASIS}
[[processor]]
name = "Acme"
legal_entity = "Acme Inc."
seat = "US"
{_BASIS}
[[processor]]
name = "Beau"
legal_entity = "Beau SA"
seat = "FR"
{_BASIS}
[[certification]]
processor = "Acme"
scheme = "dpf"
{_BASIS}
[[regime]]
name = "gdpr"
title = "A regulation"
classes = ["user"]
origins = ["zone:EEA"]
home = ["zone:EEA"]
{_BASIS}
[[adequacy]]
name = "framework"
regime = "gdpr"
exporters = ["zone:EEA"]
importers = ["US"]
instrument = "A decision"
certified = ["dpf"]
source = "a test"
retrieved = 2026-01-01
status = "in_force"
certainty = "O"
valid_from = 2020-01-01
valid_to = 2026-03-01
[[adequacy]]
name = "framework"
regime = "gdpr"
exporters = ["zone:EEA"]
importers = ["US"]
instrument = "A decision"
certified = ["dpf"]
source = "a test"
retrieved = 2026-01-01
status = "challenged"
certainty = "O"
valid_from = 2026-03-01
[[law]]
name = "transfers"
regime = "gdpr"
kind = "adequacy"
title = "Transfers"
clause = "Art. 44"
{_BASIS}
"""
_TARGET = """
[[target]]
kind = "{kind}"
name = "{name}"
processor = "{processor}"
pinned = true
trains_by_default = false
{places}
price_permille = {price}
{basis}
"""
_ENDPOINTS = {
    "acme-us": ("Acme", 'places = ["US"]', 900),
    "acme-eu": (
        "Acme", 'processing = ["acme:de"]\nstorage = ["acme:de"]\nsupport = ["US"]\ncontrol_plane = ["DE"]', 1000,
    ),
    "beau": ("Beau", 'places = ["FR", "DE"]', 1200),
    "shut": ("Beau", 'places = ["FR"]', 800),
}  # fmt: skip
_OWN = (("store", "vault"), ("pool", "pool"), ("chat", "thread"))

RULES = """
@id("t-permit") @clause("t 1") @reason("whatever is not forbidden")
permit (principal, action, resource is Greylag::Target) when { resource.known };

@id("t-closed") @clause("t 2") @reason("{target} may have {max_level}") @remedy("open it")
forbid (principal, action, resource is Greylag::Target) when { context.level > resource.max_level };

@id("t-unknown") @clause("t 3") @reason("nobody knows {target}") @remedy("add a row")
forbid (principal, action, resource is Greylag::Target) when { !resource.known };

@id("t-control") @clause("t 4") @reason("compelled by {control}") @no_remedy("nobody else will do")
forbid (principal, action, resource is Greylag::Target)
when { context.classes.contains("code.proprietary") &&
       !(Greylag::Zone::"EEA".members.containsAll(resource.control)) }
unless { resource.own };

@id("t-names") @clause("t 5") @obligation("pseudonymise") @reason("names in {kind}") @remedy("replace them")
forbid (principal, action == Greylag::Action::"prompt", resource is Greylag::Target)
when { context.classes.contains("user.name") && !resource.own }
unless { context.applied.contains("pseudonymise") && context.residual_findings == 0 };
"""
LAW = """
@id("t-transfer") @clause("Art. 44") @law("transfers") @reason("{target} reaches {reach}") @remedy("use another")
forbid (principal, action, resource is Greylag::Target) when { context.restricted.contains("gdpr") }
unless { resource.own };
"""
SCHEMA = (ROOT / "policies" / "schema.cedarschema").read_text(encoding="utf-8")


def pack(
    name: str, rules: str, *, kind: str = "house", status: str = "in_force", regimes: tuple[str, ...] = ()
) -> Pack:
    """Return a pack of these rules."""
    manifest = {
        "schema_version": 2, "name": name, "title": name, "version": "1", "status": status, "kind": kind,
        "regimes": list(regimes), "requires": [], "conflicts_with": [],
    }  # fmt: skip
    return parse_pack(manifest, rules, SCHEMA)


def facts() -> FactBook:
    """Return the facts of the small world."""
    text = FACTS
    for name, (processor, places, price) in _ENDPOINTS.items():
        text += _TARGET.format(
            kind="endpoint", name=name, processor=processor, places=places, price=price, basis=_BASIS
        )  # fmt: skip
        if name != "shut":
            text += f'[[opening]]\nkind = "endpoint"\nname = "{name}"\nmax_level = "internal"\n{_BASIS}\n'
    for kind, name in _OWN:
        row = _TARGET.format(kind=kind, name=name, processor="", places='places = ["home"]', price=1000, basis=_BASIS)
        text += f'{row}max_level = "restricted"\n'
    return parse_facts(tomllib.loads(text))


WORLD = World((pack("t-house", RULES), pack("t-law", LAW, kind="law", regimes=("gdpr",))), facts(), "home")


def drill(*changes: dict[str, object]) -> Drill:
    """Return a drill of these changes."""
    data = {
        "schema_version": 1, "name": "a-test", "title": "A test", "status": "hypothetical", "change": list(changes),
    }  # fmt: skip
    return parse_drill(data)


def changed(*changes: dict[str, object], library: dict[str, Pack] | None = None) -> Changed:
    """Return the small world after these changes."""
    return apply(WORLD, drill(*changes), library or {}, today=TODAY)


def pair(*changes: dict[str, object], library: dict[str, Pack] | None = None) -> Pair:
    """Return the small world before and after these changes."""
    after = changed(*changes, library=library)
    return Pair(WORLD.policy(today=TODAY), after.world.policy(today=TODAY, drill=True), after)


def ask(
    endpoint: str, *classes: str, stage: Stage = Stage.PROMPT, kind: str = "endpoint", day: date = TODAY,
    applied: tuple[str, ...] = (), level: str = "internal",
) -> Question:  # fmt: skip
    """Return one question about data from Germany."""
    return Question(
        stage=stage, principal="agent:run_1", action="send",
        asset=Asset("prompt", Label.of(level, classes=classes, origins=("DE",)), "home", "sha256:0", 100),
        target=Target(kind, endpoint), at=datetime(day.year, day.month, day.day, tzinfo=UTC),
        discharged=Discharged(applied),
    )  # fmt: skip


def decided(
    question: Question, number: int = 1, *, repository: str = "shop", policy: CedarPolicy | None = None
) -> Decision:
    """Return the decision on ``question``, as the small world makes it."""
    verdict = (policy or WORLD.policy(today=TODAY)).decide(question)
    return Decision(f"dec_{number}", f"task_{number}", repository, "home", question, verdict)
