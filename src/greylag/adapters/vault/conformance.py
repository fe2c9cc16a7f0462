"""What every vault must do. Tests run these checks on each backend, `greylag doctor` on the installed one.

They store a few small objects for a subject of their own and erase it at the end.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from greylag.adapters.vault.port import Vault
from greylag.domain.errors import GreylagError, IntegrityError
from greylag.domain.references import Reference
from greylag.domain.stages import Stage
from greylag.egress.permit import Permit

#: Gives a permit for ``(stage, target, digest)``; the caller asks its door.
Permits = Callable[[Stage, str, str], Permit]
Check = tuple[str, Callable[[], None]]

_CONTENT = b"greylag conformance \x00\xff"
_OTHER = b"greylag conformance, something else"


def checks(vault: Vault, permits: Permits, subject: str) -> list[Check]:
    """Return the checks by name, to be run in order. Each raises IntegrityError ``GL-VAULT-008`` if it is not met.

    ``subject`` must be new: it is erased by the last check and can't be used again.
    """
    suite = _Suite(vault, permits, subject)
    return [
        ("what is put comes back", suite.comes_back),
        ("putting twice is putting once", suite.twice_is_once),
        ("nothing is stored without its permit", suite.needs_its_permit),
        ("another subject reads nothing", suite.subjects_are_apart),
        ("another region reads nothing", suite.regions_are_apart),
        ("an unknown digest is refused", suite.unknown_is_refused),
        ("an erased subject can't be read or written", suite.erased_is_gone),
    ]


class _Suite:
    def __init__(self, vault: Vault, permits: Permits, subject: str) -> None:
        self._vault = vault
        self._permits = permits
        self._subject = subject

    def comes_back(self) -> None:
        for content in (_CONTENT, b"", bytes(70_000)):
            reference = self._vault.put(
                self._permit(content), content, kind="conformance", subject=self._subject, media_type="text/plain"
            )
            _require(reference.digest == _digest(content), "the reference names another digest")
            _require(reference.size_bytes == len(content), "the reference names another size")
            _require(self._vault.get(reference, subject=self._subject) == content, "other content came back")

    def twice_is_once(self) -> None:
        first, second = self._put(_CONTENT), self._put(_CONTENT)
        _require(first == second, "two references for one content")

    def needs_its_permit(self) -> None:
        wrong = (
            self._permits(Stage.CHAT, f"vault:{self._vault.region}", _digest(_OTHER)),
            self._permits(Stage.ARTIFACT, "vault:elsewhere", _digest(_OTHER)),
            self._permits(Stage.ARTIFACT, f"vault:{self._vault.region}", _digest(_CONTENT)),
        )
        for permit in wrong:
            _refuses("GL-EGRESS-001", partial(self._put, _OTHER, permit))

    def subjects_are_apart(self) -> None:
        reference = self._put(_CONTENT)
        _refuses("GL-VAULT-002", lambda: self._vault.get(reference, subject=f"{self._subject}-other"))

    def regions_are_apart(self) -> None:
        reference = replace(self._put(_CONTENT), region=f"{self._vault.region}-other")
        _refuses("GL-VAULT-002", lambda: self._vault.get(reference, subject=self._subject))

    def unknown_is_refused(self) -> None:
        reference = replace(self._put(_CONTENT), digest=f"sha256:{'0' * 64}")
        _refuses("GL-VAULT-002", lambda: self._vault.get(reference, subject=self._subject))

    def erased_is_gone(self) -> None:
        reference = self._put(_CONTENT)
        self._vault.erase(self._subject)
        self._vault.erase(self._subject)
        _refuses("GL-VAULT-002", lambda: self._vault.get(reference, subject=self._subject))
        _refuses("GL-VAULT-002", lambda: self._put(_CONTENT))

    def _permit(self, content: bytes) -> Permit:
        return self._permits(Stage.ARTIFACT, f"vault:{self._vault.region}", _digest(content))

    def _put(self, content: bytes, permit: Permit | None = None) -> Reference:
        return self._vault.put(
            permit or self._permit(content), content, kind="conformance", subject=self._subject, media_type="text/plain"
        )


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _refuses(code: str, work: Callable[[], object]) -> None:
    try:
        work()
    except GreylagError as error:
        _require(error.code == code, f"expected `{code}`, got `{error.code}`")
        return
    _require(False, f"expected `{code}`, but it was done")


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise IntegrityError(
            "GL-VAULT-008",
            f"this vault does not keep what a vault promises: {otherwise}.",
            "don't use this backend; report it with the name of the check.",
        )
