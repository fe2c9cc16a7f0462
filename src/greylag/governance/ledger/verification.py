"""Verification of a whole log against every checkpoint anybody kept of it. Needs no database and trusts none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from greylag.domain.errors import IntegrityError
from greylag.governance.ledger.checkpoint import VerifierKey, open_checkpoint
from greylag.governance.ledger.tree import Tree, leaf_hash

_LOOK_AHEAD = 1_024
_MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not fit.

    ``kind`` ∈ changed, removed, reordered, added, truncated, forked, signature. The first wrong entry stands between
    ``first`` and ``last`` (indexes, both included); they are equal where it is known exactly, None where the finding
    is not about an entry.
    """

    kind: str
    message: str
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What verification saw. ``size`` entries were read, ``checkpoints`` distinct signed roots were compared."""

    origin: str
    size: int
    signed_size: int
    root: bytes
    checkpoints: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def first_bad_index(self) -> int | None:
        """The index of the first wrong entry where it is known exactly."""
        exact = [finding.first for finding in self.findings if finding.first == finding.last]
        return min((index for index in exact if index is not None), default=None)


def verify_log(
    entries: Iterable[bytes], checkpoint_text: str, public_key: VerifierKey, older_checkpoints: Iterable[str] = ()
) -> LedgerReport:
    """Compare ``entries`` (exact leaf bytes, in order, all of them) with every signed checkpoint that is known.

    ``older_checkpoints`` are the log's own earlier ones and those that witnesses kept; one that turns out to be
    newer than ``checkpoint_text`` shows a roll-back. The more of them, the more exactly a wrong entry is named: with
    one a leaf, its index is exact. Never raises for what the arguments hold: everything wrong is a finding.
    """
    findings: list[Finding] = []
    signed = _signed_roots((checkpoint_text, *older_checkpoints), public_key, findings)
    signed_size = max(signed, default=0)
    stated = _size_of(checkpoint_text, public_key)
    if stated is not None and stated < signed_size:
        message = f"the log shows a checkpoint of {stated} entries, but one of {signed_size} was signed before."
        findings.append(Finding("truncated", message, stated, stated))
    walk = _Walk(iter(entries), signed, signed_size)
    walk.run(findings)
    return LedgerReport(
        public_key.name, walk.count, signed_size, walk.tree.root(), len(signed), tuple(findings[:_MAX_FINDINGS])
    )


def _signed_roots(texts: Iterable[str], key: VerifierKey, findings: list[Finding]) -> dict[int, bytes]:
    signed: dict[int, bytes] = {}
    for position, text in enumerate(texts):
        try:
            checkpoint = open_checkpoint(text, key)
        except IntegrityError as error:
            which = "the newest checkpoint" if position == 0 else f"kept checkpoint {position - 1}"
            findings.append(Finding("signature", f"{which}: {error.message}"))
            continue
        known = signed.setdefault(checkpoint.size, checkpoint.root)
        if known != checkpoint.root:
            message = f"two different roots were signed for {checkpoint.size} entries: the log has two histories."
            findings.append(Finding("forked", message))
    return signed


def _size_of(text: str, key: VerifierKey) -> int | None:
    try:
        return open_checkpoint(text, key).size
    except IntegrityError:
        return None


class _Walk:
    """Grows the tree entry by entry and stops at the first root that differs from the signed one."""

    def __init__(self, entries: Iterator[bytes], signed: dict[int, bytes], signed_size: int) -> None:
        self._entries = entries
        self._signed = signed
        self._signed_size = signed_size
        self._proven = 0
        self.tree = Tree()
        self.count = 0

    def run(self, findings: list[Finding]) -> None:
        for body in self._entries:
            self.count += 1
            before = self.tree
            self.tree, _ = before.grown(leaf_hash(body))
            if self.tree.size > self._signed_size:
                findings.append(self._unsigned(before.size))
                return
            root = self._signed.get(self.tree.size)
            if root is None:
                continue
            if root != self.tree.root():
                findings.append(self._differs(before, root))
                return
            self._proven = self.tree.size
        if self.tree.size < self._signed_size:
            missing = self._signed_size - self.tree.size
            message = f"{missing} entries are missing at the end: {self._signed_size} were signed."
            findings.append(Finding("truncated", message, self.tree.size, self.tree.size))

    def _unsigned(self, index: int) -> Finding:
        self.count += sum(1 for _ in self._entries)
        message = f"{self.count - index} entries stand after the newest signed checkpoint of {self._signed_size}."
        return Finding("added", message, index, index)

    def _differs(self, before: Tree, root: bytes) -> Finding:
        ahead = list(islice(self._entries, _LOOK_AHEAD))
        self.count += len(ahead) + sum(1 for _ in self._entries)
        first, last = self._proven, before.size
        where = f"entry {first}" if first == last else f"an entry between {first} and {last}"
        if first == last and any(before.grown(leaf_hash(body))[0].root() == root for body in ahead):
            if self.count > self._signed_size:
                return Finding("added", f"{where} was added: the signed one follows later.", first, last)
            return Finding("reordered", f"{where} was moved: the signed one stands later.", first, last)
        if self.count < self._signed_size:
            missing = self._signed_size - self.count
            return Finding("removed", f"{where} is not what was signed, and {missing} are missing.", first, last)
        if self.count > self._signed_size:
            surplus = self.count - self._signed_size
            return Finding("added", f"{where} is not what was signed, and there are {surplus} too many.", first, last)
        return Finding("changed", f"{where} is not what was signed.", first, last)
