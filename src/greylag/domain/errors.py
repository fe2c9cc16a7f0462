"""Every error Greylag raises on purpose, sorted by whose fault it is.

::

    GreylagError
    ├── RequestRefused    the asker's request can't be done as asked (bad input, policy, missing right)
    ├── OperatorError     the installation must be mended (setting, missing program, port taken)
    ├── BackendError      something outside failed; ``transient`` says whether trying again can help
    └── IntegrityError    stored truth does not fit together; nothing may go on

Each carries a stable code ``GL-AREA-NNN`` (listed in ``docs/reference/errors.md``), what was wrong, and a remedy.
"""

from typing import ClassVar


class GreylagError(Exception):
    """An error with a stable code, a cause in words and the next step.

    ``exit_code`` is what the command line exits with: 1 failed, 2 usage, 3 refused by policy.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, code: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.code}: {self.message} Next: {self.remedy}"


class RequestRefused(GreylagError):
    """The request can't be carried out as asked; the remedy says what the asker can do."""

    exit_code = 2


class PolicyRefused(RequestRefused):
    """A policy decision said no. ``decision_id`` names the ledgered decision, ``rules`` the policies."""

    exit_code = 3

    def __init__(self, code: str, message: str, remedy: str, *, decision_id: str, rules: tuple[str, ...]) -> None:
        super().__init__(code, message, remedy)
        self.decision_id = decision_id
        self.rules = rules


class OperatorError(GreylagError):
    """The installation is at fault: a setting, a missing program, a port taken."""


class BackendError(GreylagError):
    """Something outside failed. ``transient`` is True only where the same call may work later."""

    def __init__(self, code: str, message: str, remedy: str, *, transient: bool = False) -> None:
        super().__init__(code, message, remedy)
        self.transient = transient


class IntegrityError(GreylagError):
    """Stored facts contradict each other or were changed: stop, keep everything, look."""
