"""The shipped packs and facts as one world in a region of the tests, for tests that ask all of them at once."""

import tomllib
from datetime import UTC, date, datetime
from functools import cache

from greylag.domain.labels import Label
from greylag.domain.stages import Stage
from greylag.governance.facts import Basis, FactBook, Opening, own_target, parse_facts
from greylag.governance.policy import CedarPolicy, Pack, parse_pack
from greylag.governance.question import Asset, Discharged, Question, Target
from tests.support.source import ROOT

TODAY = date(2026, 11, 23)
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOME = "local"
OWN = Basis("a test", date(2026, 1, 2), "in_force", "O")


@cache
def shipped_packs() -> tuple[Pack, ...]:
    """Return every shipped pack in force, the base pack first."""
    root = ROOT / "policies"
    schema = (root / "schema.cedarschema").read_text()
    packs = []
    for folder in sorted((root / "packs").iterdir()):
        manifest = tomllib.loads((folder / "pack.toml").read_text())
        if manifest["status"] == "in_force":
            packs.append(parse_pack(manifest, (folder / "policy.cedar").read_text(), schema))
    return tuple(sorted(packs, key=lambda pack: bool(pack.requires)))


@cache
def shipped_book(jurisdiction: str = "GB") -> FactBook:
    """Return the shipped facts for a region in ``jurisdiction`` with an endpoint, a chat and a forge of its own."""
    book = FactBook(())
    for path in sorted((ROOT / "policies" / "facts").glob("*.toml")):
        variables = {"region": HOME, "jurisdiction": jurisdiction}
        book = book.joined(parse_facts(tomllib.loads(path.read_text()), variables))
    own = (("endpoint", "own-model"), ("chat", "thread:local"), ("forge", "builtin"))
    return book.overlaid_with(FactBook(tuple(own_target(kind, name, HOME, OWN) for kind, name in own)))


def opened(*targets: tuple[str, str, str], jurisdiction: str = "GB") -> FactBook:
    """Return the shipped facts with ``targets`` (kind, name, level) opened by the operator."""
    rows = tuple(Opening(kind, name, level, OWN) for kind, name, level in targets)
    return shipped_book(jurisdiction).overlaid_with(FactBook(rows))


def policy_of(book: FactBook, *names: str) -> CedarPolicy:
    """Return the policy of the shipped packs (those named; none: all) over ``book``."""
    packs = [pack for pack in shipped_packs() if not names or pack.name in names]
    return CedarPolicy(packs, book, HOME, today=TODAY)


def ask(stage: str, kind: str, name: str, level: str = "internal", **more: object) -> Question:
    """Return a question; ``more``: asset, classes, origins, regimes, surfaces, principal, applied, approvals."""

    def several(field: str) -> tuple[str, ...]:
        value = more.get(field, ())
        assert isinstance(value, tuple)
        return value

    label = Label.of(
        level, classes=several("classes"), origins=several("origins"), regimes=several("regimes"),
        derived_by=("repository",),
    )  # fmt: skip
    principal = str(more.get("principal", "agent:claude" if stage in ("prompt", "tool") else "platform:greylag"))
    asset = Asset(str(more.get("asset", "prompt")), label, HOME, surfaces=several("surfaces"))
    done = Discharged(several("applied"), several("approvals"))
    return Question(Stage(stage), principal, "send", asset, Target(kind, name), AT, done)
