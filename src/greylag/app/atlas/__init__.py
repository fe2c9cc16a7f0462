"""Pictures of a data map: a world map and a lineage graph, as SVG that needs nothing else.

No script, no link, no font, nothing fetched. Names from the ledger are text: escaped, cut, hidden characters shown.
"""

from greylag.app.atlas.drawing import STYLE
from greylag.app.atlas.lineage import lineage_svg
from greylag.app.atlas.world import world_svg

__all__ = ["STYLE", "lineage_svg", "world_svg"]
