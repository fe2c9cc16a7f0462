"""A permit: proof that one hop was decided and ledgered before anything moved."""

from dataclasses import dataclass

from greylag.domain.errors import IntegrityError
from greylag.domain.ids import DecisionId
from greylag.domain.stages import Stage

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Permit:
    """Minted by `greylag.egress.door.Door` alone. Every verb that moves bytes takes one and calls `require`."""

    decision_id: DecisionId
    stage: Stage
    target: str
    asset_digest: str
    entry_index: int
    seal: object

    def require(self, stage: Stage, target: str | None = None, digest: str | None = None) -> None:
        """Check that this permit was given for ``stage`` (and ``target``, ``digest`` where the verb knows them).

        Raises IntegrityError ``GL-EGRESS-001`` for a permit that was made up or is used for another hop.
        """
        if self.seal is not _SEAL:
            raise _misused(f"a permit for {stage} was not minted by the door")
        if self.stage is not stage:
            raise _misused(f"a permit for `{self.stage}` was used at `{stage}`")
        if target is not None and self.target != target:
            raise _misused(f"a permit towards {self.target!r} was used towards {target!r}")
        if digest is not None and self.asset_digest != digest:
            raise _misused(f"a permit for {self.asset_digest!r} was used for {digest!r}")


def mint(decision_id: DecisionId, stage: Stage, target: str, asset_digest: str, entry_index: int) -> Permit:
    """Return a permit. Only `greylag.egress.door` may call this; an architecture test holds it."""
    return Permit(decision_id, stage, target, asset_digest, entry_index, _SEAL)


def _misused(what: str) -> IntegrityError:
    return IntegrityError("GL-EGRESS-001", f"{what}; nothing was sent.", "report this: it is a defect in Greylag.")
