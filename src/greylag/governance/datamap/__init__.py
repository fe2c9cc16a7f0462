"""The data map: where everything is, who can read it and how it got there, from the ledger and the facts alone.

A place is observed, declared or unknown, and never one for another: a decision says what was allowed, an outcome what
was seen. Must never hold content; hostile names in entries are data and are cut to length.
"""

from greylag.governance.datamap.documents import map_document
from greylag.governance.datamap.projection import Shown, copies_of, map_of, path_of, project
from greylag.governance.datamap.readers import PersonRoles, who_can_read
from greylag.governance.datamap.records import Decided, Declassified, Observed, read_entry
from greylag.governance.datamap.standing import Standings
from greylag.governance.datamap.trails import Limits, Trails
from greylag.governance.datamap.values import (
    DECLARED,
    OBSERVED,
    UNKNOWN_PLACE,
    AssetName,
    Coverage,
    DataMap,
    Flow,
    Gaps,
    Located,
    PlaceUse,
    Query,
    Reader,
    Standing,
    Step,
)

__all__ = [
    "DECLARED", "OBSERVED", "UNKNOWN_PLACE", "AssetName", "Coverage", "DataMap", "Decided", "Declassified", "Flow",
    "Gaps", "Limits", "Located", "Observed", "PersonRoles", "PlaceUse", "Query", "Reader", "Shown", "Standing",
    "Standings", "Step", "Trails", "copies_of", "map_document", "map_of", "path_of", "project", "read_entry",
    "who_can_read",
]  # fmt: skip
