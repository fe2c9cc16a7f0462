"""The command line's conversation with the platform: the one that runs, or one of its own for this command."""

import getpass
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx

from greylag.app.client.console import Document, RemoteRefusal
from greylag.app.install.home import address_file, prepare_home, read_operator_token
from greylag.app.settings import Settings, home_folder, load_settings
from greylag.domain.errors import OperatorError

if TYPE_CHECKING:
    from greylag.app.server import BackgroundServer

_TIMEOUT = httpx.Timeout(60.0, connect=2.0)
_LONG_TIMEOUT = httpx.Timeout(1900.0, connect=2.0)  # an import may take half an hour, a rollback ten minutes


class Session:
    """Speaks HTTP to the platform of a home folder; starts one for its own duration where none runs."""

    def __init__(self, home: Path | None, person: str = "", settings: Settings | None = None) -> None:
        self.home = home_folder(home)
        self.person = person or _login_name()
        self._settings = settings
        self._own: BackgroundServer | None = None
        self._client: httpx.Client | None = None
        self.url = ""

    def __enter__(self) -> "Session":
        prepare_home(self.home)
        self.url = _running(self.home)
        if not self.url:
            self.url = self._start()
        headers = {"authorization": f"Bearer {read_operator_token(self.home)}", "x-greylag-as": self.person}
        self._client = httpx.Client(base_url=self.url, headers=headers, timeout=_TIMEOUT, trust_env=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            self._client.close()
        if self._own is not None:
            self._own.stop()

    @property
    def own(self) -> bool:
        """Whether the platform runs only as long as this command."""
        return self._own is not None

    def git_url(self, repository: str) -> str:
        """Return where git reads ``repository``, with the credentials of this session in it: for one command's use."""
        scheme, _, place = self.url.partition("://")
        token = quote(read_operator_token(self.home), safe="")
        return f"{scheme}://{quote(self.person, safe='')}:{token}@{place}/git/{quote(repository)}"

    def act_as(self, person: str) -> None:
        """Count what follows as ``person``'s."""
        self.person = person
        if self._client is not None:
            self._client.headers["x-greylag-as"] = person

    def get(self, path: str, **query: str | float | None) -> Document:
        """Return the JSON at ``path`` under ``/api/v1``. Raises RemoteRefusal for an error answer."""
        return self._call("GET", path, query={key: value for key, value in query.items() if value is not None}).json()

    def post(self, path: str, body: Mapping[str, object]) -> Document:
        """Post ``body`` to ``path`` and return the JSON answer. Raises RemoteRefusal."""
        return self._call("POST", path, body=body).json()

    def fetch(self, path: str, **query: str) -> bytes:
        """Return the raw bytes at ``path``. Raises RemoteRefusal."""
        return self._call("GET", path, query=query).content

    def _start(self) -> str:
        settings = self._settings or load_settings(self.home)
        # Two seconds of libraries that a command doesn't need where a platform runs already.
        from greylag.app.server import BackgroundServer  # noqa: PLC0415

        self._own = BackgroundServer(settings, self.home)
        return self._own.start()

    def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | float] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> httpx.Response:
        if self._client is None:
            raise RuntimeError("a Session is used inside `with`")
        try:
            patience = _TIMEOUT if method == "GET" else _LONG_TIMEOUT
            answer = self._client.request(method, f"/api/v1{path}", params=query, json=body, timeout=patience)
        except httpx.HTTPError as error:
            raise OperatorError(
                "GL-CLI-002", f"the platform at {self.url} does not answer: {error!r}.", "start it: `greylag up`."
            ) from error
        if answer.is_error:
            try:
                problem = answer.json()
            except ValueError:
                problem = {"message": answer.text[:500]}
            raise RemoteRefusal(answer.status_code, problem)
        return answer


def _running(home: Path) -> str:
    """Return the URL of the platform that runs on ``home``; empty where none answers."""
    try:
        url = str(json.loads(address_file(home).read_text())["url"])
        answer = httpx.get(f"{url}/api/v1/health", timeout=2.0, trust_env=False)
    except (OSError, ValueError, KeyError, httpx.HTTPError):
        return ""
    return url if answer.is_success else ""


def _login_name() -> str:
    try:
        return getpass.getuser().lower()
    except (KeyError, OSError):
        return "operator"
