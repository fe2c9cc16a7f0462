"""What the platform was told about a repository by its operator, never by the repository itself."""

from dataclasses import dataclass, field

from greylag.domain.labels import Label


@dataclass(frozen=True, slots=True)
class Environment:
    """One place a build is released to, in order of promotion.

    ``command`` starts the service; ``{port}`` in it becomes the port, ``{release}`` the folder of the unpacked build.
    ``health_path`` must answer 2xx within ``health_timeout_seconds`` for a release to stand. ``region``: where it is.
    """

    name: str
    region: str
    command: tuple[str, ...]
    health_path: str = "/"
    port: int = 0
    health_timeout_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class PathRule:
    """What files whose path matches ``pattern`` (``**`` crosses folders) hold, beyond the repository's label."""

    pattern: str
    level: str
    classes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on the built-in forge and how its changes are checked, built and released.

    ``verify`` holds commands as argument lists; empty means: found by content (pytest, npm). ``build`` is ``auto``,
    ``wheel``, ``npm`` or ``archive``. ``keywords`` help intake to find the repository from a sentence.
    ``requirements`` are wheels-only pip requirements put into the repository's own read-only toolchain layer.
    ``classes`` and ``origins`` are what its operator says of its data, ``path_rules`` of files in it; ``owner`` is who
    answers for it.
    """

    name: str
    region: str
    level: str = "internal"
    default_branch: str = "main"
    verify: tuple[tuple[str, ...], ...] = ()
    build: str = "auto"
    keywords: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    environments: tuple[Environment, ...] = field(default=())
    classes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    path_rules: tuple[PathRule, ...] = ()
    owner: str = ""

    @property
    def label(self) -> Label:
        """The label that everything of this repository carries at least; regimes follow from facts."""
        return Label.of(self.level, classes=self.classes, origins=self.origins, derived_by=("repository",))


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may use the platform. ``roles`` ⊆ `ROLES`."""

    name: str
    roles: tuple[str, ...]
    email: str = ""


#: Roles whose yes a rule may ask for, besides those for work on the platform.
FLOW_ROLES = ("data-owner", "dpo", "security")
ROLES = ("requester", "reviewer", "operator", "auditor", *FLOW_ROLES)
