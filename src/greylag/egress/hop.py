"""One movement of data, described before it happens."""

from dataclasses import dataclass

from greylag.domain.stages import Stage
from greylag.governance.question import NOTHING_DISCHARGED, Asset, Discharged, Target


@dataclass(frozen=True, slots=True)
class Hop:
    """What wants to move where, for which task, and the key under which asking twice is asking once.

    ``task_id`` is empty for the platform's own hops, ``repository`` where none is concerned. ``key`` is unique within
    (task, stage) and stable over re-runs of the same durable step. ``discharged`` is what was done for it already.
    """

    stage: Stage
    principal: str
    action: str
    asset: Asset
    target: Target
    key: str
    task_id: str = ""
    repository: str = ""
    discharged: Discharged = NOTHING_DISCHARGED
