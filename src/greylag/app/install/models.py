"""Which model endpoints this install has."""

from collections.abc import Mapping
from dataclasses import dataclass

from greylag.adapters.models.backends.anthropic import AnthropicUpstream
from greylag.adapters.models.backends.scripted import ScriptedUpstream
from greylag.adapters.models.port import Upstream
from greylag.adapters.models.prices import ListedPrices
from greylag.app.install.shipped import shipped
from greylag.app.settings import Settings
from greylag.domain.clock import Clock
from greylag.domain.errors import OperatorError
from greylag.domain.stages import Stage
from greylag.egress.http import HttpDoor

ANTHROPIC, SCRIPTED = "anthropic", "scripted"


@dataclass(frozen=True, slots=True)
class Models:
    """The upstreams by endpoint name, the one that runs use, and the model asked for."""

    upstreams: Mapping[str, Upstream]
    endpoint: str
    model: str

    @property
    def labels(self) -> dict[str, str]:
        """What must be shown beside the work of each endpoint where no real model answers."""
        return {name: upstream.label for name, upstream in self.upstreams.items() if upstream.label}


def choose_models(settings: Settings, clock: Clock) -> Models:
    """Return the configured endpoint; with kind ``auto`` Anthropic where a key is set, else none.

    Raises OperatorError ``GL-MODEL-002`` for kind ``anthropic`` without a key.
    """
    kind = settings.model.kind
    key = settings.anthropic_api_key.get_secret_value()
    if kind == "auto":
        kind = "anthropic" if key else "none"
    if kind == "none":
        return Models({}, "", "")
    if kind == "scripted":
        cassettes = settings.model.cassettes or shipped("examples", "cassettes")
        scripted = ScriptedUpstream(SCRIPTED, cassettes, place=settings.region.name)
        return Models({SCRIPTED: scripted}, SCRIPTED, "scripted-1")
    if not key:
        raise OperatorError("GL-MODEL-002", "no key for the Anthropic endpoint is set.", "set `ANTHROPIC_API_KEY`.")
    http = HttpDoor(settings.model.base_url, Stage.PROMPT, ANTHROPIC)
    upstream = AnthropicUpstream(ANTHROPIC, http, key, ListedPrices("anthropic", clock.now))
    return Models({ANTHROPIC: upstream}, ANTHROPIC, settings.model.model)
