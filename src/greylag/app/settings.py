"""Every setting, and the only reader of the environment. One TOML file, ``greylag.toml`` in the home folder.

The environment carries only where the home is, and secrets: ``GREYLAG_HOME``, ``GREYLAG_DATABASE_URL``,
``ANTHROPIC_API_KEY`` (and ``ANTHROPIC_BASE_URL``), ``GREYLAG_SLACK_…``, ``GREYLAG_MATRIX_PASSWORD``.
Unknown keys are refused: a typing error never loosens anything.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from greylag.domain.errors import OperatorError

FILE_NAME = "greylag.toml"
_SECRETS = {
    "anthropic_api_key": "ANTHROPIC_API_KEY", "slack_bot_token": "GREYLAG_SLACK_BOT_TOKEN",
    "slack_app_token": "GREYLAG_SLACK_APP_TOKEN", "slack_signing_secret": "GREYLAG_SLACK_SIGNING_SECRET",
    "matrix_password": "GREYLAG_MATRIX_PASSWORD",
}  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(_Strict):
    """Where the platform listens. Put TLS in front of it before it listens beyond loopback."""

    host: str = Field(default="127.0.0.1", description="The address to listen on.")
    port: int = Field(default=8421, ge=0, le=65535, description="The port; 0 takes any free one.")
    names: tuple[str, ...] = Field(default=(), description="Host names it answers to besides loopback.")
    public_url: str = Field(
        default="", pattern=r"^(https?://[A-Za-z0-9.:\[\]_-]{1,253}(/[A-Za-z0-9._~/-]{0,200})?)?$",
        description="Where people find it, for links; none: this machine.",
    )  # fmt: skip

    @property
    def base_url(self) -> str:
        """The address that links lead to."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"

    def task_page(self, task_id: str) -> str:
        """Return the address of a task's page, for a link in a thread."""
        return f"{self.base_url}/tasks/{task_id}"

    def link_page(self, code: str) -> str:
        """Return the address at which somebody says who they are in a chat."""
        return f"{self.base_url}/link/{code}"


class RegionSettings(_Strict):
    """The cell of this install: its name, and the jurisdiction its machine stands in."""

    name: str = Field(default="local", pattern=r"^[a-z][a-z0-9-]{0,30}$", description="The region's name, for good.")
    jurisdiction: str = Field(
        default="unknown",
        pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,4})?|unknown)$",
        description="Whose law counts there: an ISO 3166 code.",
    )
    worker: str = Field(
        default="worker-1", pattern=r"^[a-z][a-z0-9-]{0,30}$", description="This process's name in the durable engine."
    )


class ModelSettings(_Strict):
    """Which model endpoint runs may call."""

    kind: Literal["auto", "anthropic", "scripted", "none"] = Field(
        default="auto", description="`auto`: Anthropic where `ANTHROPIC_API_KEY` is set, else none."
    )
    base_url: str = Field(default="https://api.anthropic.com", description="Where the Messages protocol is spoken.")
    model: str = Field(default="claude-sonnet-4-5", description="The model that runs are pinned to.")
    cassettes: Path | None = Field(default=None, description="For `scripted`: the folder; none takes the shipped ones.")


class AgentSettings(_Strict):
    """Which agent works where a request names none."""

    default: Literal["claude", "acp", "command"] = Field(default="claude", description="Its name.")
    intake_model: Literal["off", "advise"] = Field(
        default="off", description="`advise`: where intake's rules are not sure, it asks the model once."
    )
    claude_binary: Path | None = Field(default=None, description="Claude Code; none takes the one set-up fetched.")


class BoundSettings(_Strict):
    """What one task may use."""

    attempts: int = Field(default=3, ge=1, le=10, description="Tries in a round before a person is asked.")
    turns: int = Field(default=60, ge=1, le=500, description="Model round trips of one try.")
    run_seconds: float = Field(default=1800, gt=0, le=86400, description="How long an agent may work at a time.")
    verify_seconds: float = Field(default=900, gt=0, le=86400, description="How long one verifier may take.")
    cap_usd: float = Field(default=5.0, ge=0, le=10_000, description="What a task's model calls may cost.")
    review_days: float = Field(default=7, gt=0, le=90, description="How long a review waits; its end is a no.")
    parallel_runs: int = Field(default=2, ge=1, le=64, description="Sandboxes at work at once.")
    heartbeat_seconds: float = Field(
        default=45, ge=1, le=60, description="After so much silence the thread is told what goes on."
    )
    memory_mb: int = Field(default=4096, ge=128, description="Memory of a sandbox.")
    disk_mb: int = Field(default=4096, ge=64, description="Disk of a sandbox's workspace.")
    retain_days: int = Field(default=90, ge=1, le=3650, description="Retention that is decided and recorded per task.")


class SlackSettings(_Strict):
    """A Slack workspace. Tokens come from the environment: ``GREYLAG_SLACK_BOT_TOKEN`` and the one its mode needs."""

    mode: Literal["off", "socket", "http"] = Field(
        default="off", description="`socket` needs `GREYLAG_SLACK_APP_TOKEN`, `http` `GREYLAG_SLACK_SIGNING_SECRET`."
    )
    api_url: str = Field(default="https://slack.com/api/", description="Where its Web API is.")
    where: str = Field(
        default="slack", pattern=r"^[a-z][a-z0-9-]{0,40}$",
        description="The fact that says where the workspace's content rests: `slack`, `slack-de` …",
    )  # fmt: skip
    stand_in: bool = Field(
        default=False, description="It is the stand-in of `greylag fake-slack`, on this machine: loopback only."
    )
    upload: bool = Field(default=False, description="Put builds and reports into the thread, where policy permits it.")


class MatrixSettings(_Strict):
    """A Matrix account. Its secret comes from the environment: ``GREYLAG_MATRIX_PASSWORD``."""

    homeserver: str = Field(default="", description="Its homeserver's base URL; empty: no Matrix.")
    user: str = Field(default="", description="The account, as `@greylag:example.org`.")
    own: bool = Field(
        default=False, description="The homeserver is the operator's own, in this region's jurisdiction, unfederated."
    )
    where: str = Field(
        default="matrix", pattern=r"^[a-z][a-z0-9.:-]{0,80}$",
        description="The fact that says where the homeserver's content rests, where it is not the operator's own.",
    )  # fmt: skip
    invites: Literal["known", "nobody"] = Field(default="known", description="Whose invitations to rooms are taken.")


class RoomSettings(_Strict):
    """What is said in one room of a chat carries at least this label."""

    source: str = Field(description="The chat, as `slack:T024BE7LD` or `matrix:example.org`.")
    room: str = Field(description="The room's id in that chat.")
    level: Literal["public", "internal", "confidential", "restricted"] = Field(
        default="internal", description="Its level."
    )
    classes: tuple[str, ...] = Field(default=(), max_length=32, description="Classes of data talked about there.")
    origins: tuple[str, ...] = Field(default=(), max_length=32, description="Where that data comes from.")


class ChatSettings(_Strict):
    """Where people talk to the platform besides the web thread and the command line."""

    slack: SlackSettings = SlackSettings()
    matrix: MatrixSettings = MatrixSettings()
    rooms: tuple[RoomSettings, ...] = Field(default=(), max_length=1000, description="Labels of rooms.")
    context_messages: int = Field(
        default=30, ge=0, le=200, description="How much of a thread is read as context of a request."
    )


class Settings(_Strict):
    """The whole configuration."""

    schema_version: Literal[1] = Field(default=1, description="The form of this file.")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="A PostgreSQL address; empty: SQLite files in the home folder."
    )
    toolchain: Path | None = Field(
        default=None, description="A virtual environment that sandboxes see; none takes the one set-up made."
    )
    policy_packs: tuple[str, ...] = Field(
        default=(), max_length=64, description="The policy packs that decide; none named: every shipped one in force."
    )
    server: ServerSettings = ServerSettings()
    region: RegionSettings = RegionSettings()
    model: ModelSettings = ModelSettings()
    agent: AgentSettings = AgentSettings()
    bounds: BoundSettings = BoundSettings()
    chat: ChatSettings = ChatSettings()
    anthropic_api_key: SecretStr = Field(default=SecretStr(""), exclude=True)
    slack_bot_token: SecretStr = Field(default=SecretStr(""), exclude=True)
    slack_app_token: SecretStr = Field(default=SecretStr(""), exclude=True)
    slack_signing_secret: SecretStr = Field(default=SecretStr(""), exclude=True)
    matrix_password: SecretStr = Field(default=SecretStr(""), exclude=True)


def home_folder(given: Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the home folder: ``given``, else ``GREYLAG_HOME``, else ``$XDG_DATA_HOME/greylag``; made by nobody yet."""
    environment = os.environ if environ is None else environ
    if given is not None:
        return given.absolute()
    if environment.get("GREYLAG_HOME"):
        return Path(environment["GREYLAG_HOME"]).absolute()
    base = environment.get("XDG_DATA_HOME") or str(Path(environment.get("HOME", "/")) / ".local" / "share")
    return Path(base).absolute() / "greylag"


def load_settings(home: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read ``greylag.toml`` in ``home`` (absent is fine) and the environment's secrets.

    Raises OperatorError ``GL-SETTINGS-001`` (unreadable), ``-002`` (not TOML), ``-003`` (a wrong or unknown key).
    """
    environment = os.environ if environ is None else environ
    data = _read(home / FILE_NAME)
    for key, variable in _SECRETS.items():
        if key in data:
            raise OperatorError(
                "GL-SETTINGS-003", f"`{key}` does not belong into {home / FILE_NAME}.", f"set `{variable}` instead."
            )
        if environment.get(variable):
            data[key] = environment[variable]
    if environment.get("GREYLAG_DATABASE_URL"):
        data["database_url"] = environment["GREYLAG_DATABASE_URL"]
    if environment.get("ANTHROPIC_BASE_URL"):
        data["model"] = {"base_url": environment["ANTHROPIC_BASE_URL"], **_table(data, "model")}
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise OperatorError(
            "GL-SETTINGS-003",
            f"`{where}` in {home / FILE_NAME} is wrong: {first['msg']}.",
            "mend that line; docs/reference/settings.md lists every key.",
        ) from None


def package_index_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables that say which package index and certificates this machine uses, and nothing else."""
    environment = os.environ if environ is None else environ
    names = (
        "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CERT", "PIP_FIND_LINKS", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE",
        "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
    )  # fmt: skip
    return {name: environment[name] for name in names if environment.get(name)}


def search_path(environ: Mapping[str, str] | None = None) -> str:
    """Return the host's ``PATH``, for finding git and node; never given to a sandbox."""
    environment = os.environ if environ is None else environ
    return environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")


def _read(path: Path) -> dict[str, object]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OperatorError(
            "GL-SETTINGS-001", f"{path} can't be read: {error.strerror}.", f"make it readable: `chmod u+r {path}`."
        ) from error
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError("GL-SETTINGS-002", f"{path} is not TOML: {error}.", "mend it, or move it away.") from error


def _table(data: Mapping[str, object], name: str) -> dict[str, object]:
    table = data.get(name, {})
    return dict(table) if isinstance(table, dict) else {}
