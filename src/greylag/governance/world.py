"""A world: everything a decision depends on besides its question. Kept whole, so that a decision can be made again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from greylag.domain.errors import IntegrityError
from greylag.governance.facts import FactBook, dump_facts, parse_facts
from greylag.governance.policy import CedarPolicy, Pack, parse_pack
from greylag.governance.policy.cedar import policy_version

FORMAT = 1


@dataclass(frozen=True, slots=True)
class World:
    """Packs, facts and the region they speak for. ``version`` is the ``policy_version`` of its verdicts."""

    packs: tuple[Pack, ...]
    book: FactBook
    home_region: str

    @property
    def version(self) -> str:
        """The name of this world, by the digest of all of it."""
        return policy_version(self.packs, self.book, self.home_region)

    def policy(self, *, today: date, drill: bool = False) -> CedarPolicy:
        """Return the policy of this world. Raises OperatorError as `CedarPolicy`."""
        return CedarPolicy(self.packs, self.book, self.home_region, today=today, drill=drill)


def dump_world(world: World) -> dict[str, object]:
    """Return ``world`` as plain JSON values, without the packs' examples."""
    return {
        "format": FORMAT,
        "version": world.version,
        "home_region": world.home_region,
        "schema": world.packs[0].schema_text if world.packs else "",
        "packs": [{"manifest": manifest_of(pack), "policy": pack.policy_text} for pack in world.packs],
        "facts": dump_facts(world.book),
    }


def parse_world(data: Mapping[str, object]) -> World:
    """Return the world that `dump_world` wrote.

    Raises IntegrityError ``GL-WORLD-001`` for another format, or where what was read does not have the version it was
    written under; OperatorError as `parse_pack` and `parse_facts`.
    """
    packs, facts, home = data.get("packs"), data.get("facts"), data.get("home_region")
    if (
        data.get("format") != FORMAT or not isinstance(packs, Sequence) or not isinstance(facts, Mapping)
        or not isinstance(home, str)
    ):  # fmt: skip
        raise _broken(f"got/expected: format {data.get('format')!r}/{FORMAT} with packs, facts and home_region")
    schema = str(data.get("schema"))
    read = tuple(parse_pack(each["manifest"], str(each["policy"]), schema) for each in packs)
    world = World(read, parse_facts(facts), home)
    if world.version != data.get("version"):
        raise _broken(f"got/expected: {world.version}/{data.get('version')}")
    return world


def manifest_of(pack: Pack) -> dict[str, object]:
    """Return what ``pack.toml`` of ``pack`` says."""
    return {
        "schema_version": 2, "name": pack.name, "title": pack.title, "version": pack.version, "status": pack.status,
        "kind": pack.kind, "regimes": list(pack.regimes), "requires": list(pack.requires),
        "conflicts_with": list(pack.conflicts_with),
    }  # fmt: skip


def _broken(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-WORLD-001", f"a kept world can't be used: {what}.", "restore the file from a backup; it was changed."
    )
