"""A Merkle tree that grows by one leaf at a time.

Source: RFC 6962 §2.1 (hashing, shape). Positions follow C2SP tlog-tiles: ``(level, position)`` names the perfect
subtree over leaves ``position * 2^level`` up to ``(position + 1) * 2^level``; level 0 holds the leaf hashes.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 ‖ body) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 ‖ left ‖ right) (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Node:
    """The hash of one perfect subtree; once complete it never changes."""

    level: int
    position: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of ``size`` leaves, held as the roots of its perfect subtrees, leftmost (largest) first.

    That is all that is needed to add leaves and to know the root: at most 64 hashes for any size.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def grown(self, leaf: bytes) -> tuple["Tree", tuple[Node, ...]]:
        """Return the tree with one more leaf hash, and every node that this made complete (the leaf itself first)."""
        peaks = list(self.peaks)
        level, position, digest = 0, self.size, leaf
        completed = [Node(level, position, digest)]
        while position & 1:
            digest = node_hash(peaks.pop(), digest)
            level, position = level + 1, position >> 1
            completed.append(Node(level, position, digest))
        return Tree(self.size + 1, (*peaks, digest)), tuple(completed)

    def root(self) -> bytes:
        """Return the Merkle tree hash; of the empty tree SHA-256 of nothing (RFC 6962 §2.1)."""
        if not self.peaks:
            return EMPTY_ROOT
        digest = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            digest = node_hash(peak, digest)
        return digest


def peak_places(size: int) -> Iterator[tuple[int, int]]:
    """Yield ``(level, position)`` of each peak of a tree of ``size`` leaves, leftmost first."""
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            yield level, start >> level
            start += 1 << level


def tree_of(bodies: Iterable[bytes]) -> Tree:
    """Return the tree over ``bodies`` in order."""
    tree = Tree()
    for body in bodies:
        tree, _ = tree.grown(leaf_hash(body))
    return tree
