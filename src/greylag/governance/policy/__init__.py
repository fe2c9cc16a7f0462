"""Policy: Cedar rules over facts, asked at each of the twelve stages.

Must never permit on an error, a missing attribute or an unknown place, and never deny without a remedy or the reason
why there is none.
"""

from greylag.governance.policy.cedar import CedarPolicy
from greylag.governance.policy.examples import Example, Moved, check_examples, moved_examples
from greylag.governance.policy.pack import Pack, Rule, parse_pack

__all__ = ["CedarPolicy", "Example", "Moved", "Pack", "Rule", "check_examples", "moved_examples", "parse_pack"]
