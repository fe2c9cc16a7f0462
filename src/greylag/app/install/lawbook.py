"""Reads packs and facts from files and adds what this install knows about itself."""

import tomllib
from datetime import date
from pathlib import Path

from greylag.app.install.shipped import shipped
from greylag.app.settings import Settings
from greylag.domain.errors import OperatorError
from greylag.governance.facts import Basis, FactBase, own_target, parse_facts
from greylag.governance.policy import CedarPolicy, Pack, parse_pack


def read_policy(settings: Settings, home: Path, *, own: list[tuple[str, str]], today: date) -> CedarPolicy:
    """Return the policy of this install: its pack over shipped facts, own targets (kind, name), and the home's facts.

    Files in ``facts/`` of the home win over shipped rows of the same name. Raises OperatorError for what can't be read.
    """
    region = settings.region
    variables = {"region": region.name, "jurisdiction": region.jurisdiction}
    facts = FactBase((), ())
    law = sorted(path for path in shipped("policies", "facts").glob("*.toml") if path.stem != "scripted-model")
    if settings.model.kind == "scripted":
        law.append(shipped("policies", "facts", "scripted-model.toml"))
    for path in [*law, *sorted((home / "facts").glob("*.toml"))]:
        facts = facts.overlaid_with(parse_facts(_toml(path), variables))
    basis = Basis(source="the install's settings", retrieved=today, status="in_force", certainty="O")
    rows = FactBase((), tuple(own_target(kind, name, region.name, basis) for kind, name in own))
    return CedarPolicy(read_pack(settings.policy_pack), rows.overlaid_with(facts), region.name)


def read_pack(name: str) -> Pack:
    """Return the shipped pack ``name``."""
    folder = shipped("policies", "packs", name)
    policy, schema = (folder / "policy.cedar").read_text(), (folder / "schema.cedarschema").read_text()
    return parse_pack(_toml(folder / "pack.toml"), policy, schema, _toml(folder / "examples.toml"))


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise OperatorError(
            "GL-SETTINGS-004", f"{path} can't be used: {error}.", "mend it, or move it away."
        ) from error
