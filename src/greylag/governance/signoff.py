"""Sign-offs: one person's yes, in one role, to flows that a rule lets through only with such a yes."""

from dataclasses import dataclass
from datetime import datetime

from greylag.domain.stages import Stage

#: What stands for every stage or every repository.
EVERY = "*"
LONGEST_DAYS = 90


@dataclass(frozen=True, slots=True)
class SignOff:
    """``by`` says yes as ``role`` to flows towards one target, for a time, with a reason.

    ``stage`` and ``repository`` narrow it; `EVERY` leaves them open. ``via`` says how the person was known.
    """

    sign_off_id: str
    role: str
    by: str
    target_kind: str
    target: str
    repository: str
    stage: str
    reason: str
    at: datetime
    until: datetime
    via: str = ""

    def covers(self, stage: Stage, target_kind: str, target: str, repository: str, at: datetime) -> bool:
        """Whether it is about such a flow at ``at``."""
        return (
            (self.target_kind, self.target) == (target_kind, target)
            and self.repository in (EVERY, repository)
            and self.stage in (EVERY, str(stage))
            and self.at <= at < self.until
        )


def roles_covered(found: tuple[SignOff, ...], wanted: tuple[str, ...]) -> bool:
    """Whether each role in ``wanted`` said yes by a person of its own: nobody says yes for two offices at once."""
    return _assigned(found, wanted, frozenset())


def _assigned(found: tuple[SignOff, ...], wanted: tuple[str, ...], taken: frozenset[str]) -> bool:
    if not wanted:
        return True
    people = {each.by for each in found if each.role == wanted[0]} - taken
    return any(_assigned(found, wanted[1:], taken | {person}) for person in sorted(people))
