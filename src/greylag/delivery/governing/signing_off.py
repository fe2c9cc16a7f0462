"""Signing off: a person with the role says yes to a flow, for a time, with a reason; on record before it counts."""

from dataclasses import dataclass
from datetime import timedelta

from greylag.delivery.cell import Cell
from greylag.domain.errors import RequestRefused
from greylag.domain.ids import new_id
from greylag.domain.repository import FLOW_ROLES, Person
from greylag.domain.stages import Stage
from greylag.governance.facts import TARGET_KINDS
from greylag.governance.signoff import EVERY, LONGEST_DAYS, SignOff


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be signed off; ``stage`` and ``repository`` may be `EVERY`."""

    role: str
    target_kind: str
    target: str
    reason: str
    days: int = 30
    repository: str = EVERY
    stage: str = EVERY


def sign_off(cell: Cell, person: Person, wanted: Wanted, via: str) -> SignOff:
    """Record that ``person`` says yes, and return it; it counts from then on, until its time is over.

    Raises RequestRefused ``GL-SIGNOFF-001`` (the role isn't theirs, or is none), ``-002`` (a field is wrong),
    ``GL-REPO-001`` for an unknown repository; BackendError where the ledger can't be written.
    """
    if wanted.role not in FLOW_ROLES or wanted.role not in person.roles:
        raise RequestRefused(
            "GL-SIGNOFF-001",
            f"{person.name} can't sign off as `{wanted.role[:40]}` (has: {', '.join(person.roles)}).",
            f"the roles that sign off are {', '.join(FLOW_ROLES)}; an operator grants one with `greylag person add`.",
        )
    _check(wanted)
    if wanted.repository != EVERY:
        cell.directory.repository(wanted.repository)
    now = cell.clock.now()
    made = SignOff(
        sign_off_id=new_id("sgn", now, cell.clock.entropy(10)), role=wanted.role, by=person.name,
        target_kind=wanted.target_kind, target=wanted.target, repository=wanted.repository, stage=wanted.stage,
        reason=wanted.reason, at=now, until=now + timedelta(days=wanted.days), via=via,
    )  # fmt: skip
    entry = {
        "kind": "sign_off", "sign_off_id": made.sign_off_id, "region": cell.region, "role": made.role, "by": made.by,
        "target": {"kind": made.target_kind, "name": made.target}, "repository": made.repository, "stage": made.stage,
        "until": made.until.isoformat(), "via": via,
    }  # fmt: skip
    cell.ledger.append(entry, key=made.sign_off_id)
    cell.directory.add_sign_off(made)
    return made


def withdraw(cell: Cell, person: Person, sign_off_id: str) -> SignOff:
    """Take a sign-off back; whoever gave it may, and everybody with its role.

    Raises RequestRefused ``GL-SIGNOFF-003`` where there is none, ``GL-SIGNOFF-001`` for somebody else.
    """
    found = next((each for each in cell.directory.sign_offs() if each.sign_off_id == sign_off_id), None)
    if found is None:
        raise RequestRefused(
            "GL-SIGNOFF-003", f"there is no sign-off {sign_off_id[:60]!r}.", "see `greylag signoff list`."
        )
    if person.name != found.by and found.role not in person.roles:
        raise RequestRefused(
            "GL-SIGNOFF-001", f"{person.name} neither gave it nor is `{found.role}`.", f"ask {found.by}."
        )
    cell.directory.remove_sign_off(sign_off_id)
    entry = {"kind": "sign_off_withdrawn", "sign_off_id": sign_off_id, "region": cell.region, "by": person.name}
    cell.ledger.append(entry, key=f"{sign_off_id}/withdrawn")
    return found


def _check(wanted: Wanted) -> None:
    checks = (
        ("target_kind", wanted.target_kind, wanted.target_kind in TARGET_KINDS, f"one of {', '.join(TARGET_KINDS)}"),
        ("stage", wanted.stage, wanted.stage in (EVERY, *Stage), f"`*` or one of {', '.join(Stage)}"),
        ("target", wanted.target, 0 < len(wanted.target) <= 256, "a name"),
        ("days", wanted.days, 0 < wanted.days <= LONGEST_DAYS, f"1 to {LONGEST_DAYS}"),
        ("reason", wanted.reason, 0 < len(wanted.reason.strip()) <= 500, "1 to 500 characters that say why"),
    )
    for name, got, holds, expected in checks:
        if not holds:
            raise RequestRefused(
                "GL-SIGNOFF-002", f"`{name}`: got/expected: {str(got)[:60]!r}/{expected}.", "correct it and try again."
            )
