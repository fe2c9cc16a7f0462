"""Inclusion and consistency proofs: made from stored nodes, checked from nothing but hashes.

Source: RFC 6962 §2.1.1 and §2.1.2 (making), RFC 9162 §2.1.3.2 and §2.1.4.2 (checking).
"""

from collections.abc import Callable, Sequence

from greylag.domain.errors import IntegrityError
from greylag.governance.ledger.tree import EMPTY_ROOT, HASH_BYTES, node_hash

#: Gives the hash of the complete subtree at ``(level, position)``, see `greylag.governance.ledger.tree`.
NodeReader = Callable[[int, int], bytes]


def inclusion_proof(index: int, size: int, node: NodeReader) -> tuple[bytes, ...]:
    """Return the audit path of leaf ``index`` in the tree of ``size`` leaves, lowest sibling first.

    Raises IntegrityError ``GL-LEDGER-004`` where ``index`` is not below ``size``.
    """
    if not 0 <= index < size:
        raise _broken(f"leaf {index} is not in a tree of {size}")
    path: list[bytes] = []
    start = 0
    while size > 1:
        left = _split(size)
        if index - start < left:
            path.append(_range_root(start + left, size - left, node))
            size = left
        else:
            path.append(_range_root(start, left, node))
            start, size = start + left, size - left
    return tuple(reversed(path))


def consistency_proof(old_size: int, new_size: int, node: NodeReader) -> tuple[bytes, ...]:
    """Return the proof that the tree of ``new_size`` begins with the tree of ``old_size``.

    It is empty for equal sizes and for the empty old tree. Raises IntegrityError ``GL-LEDGER-004`` for sizes that
    don't follow each other.
    """
    if not 0 <= old_size <= new_size:
        raise _broken(f"a tree of {new_size} can't continue one of {old_size}")
    if old_size in (0, new_size):
        return ()
    path: list[bytes] = []
    start, rest, size = 0, old_size, new_size
    while rest != size:
        left = _split(size)
        if rest <= left:
            path.append(_range_root(start + left, size - left, node))
            size = left
        else:
            path.append(_range_root(start, left, node))
            start, rest, size = start + left, rest - left, size - left
    if start:
        path.append(_range_root(start, rest, node))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash ``leaf`` stands at ``index`` in the tree of ``size`` with ``root``.

    Raises IntegrityError ``GL-LEDGER-004`` for anything else: wrong index or size, hashes of a wrong length, too few
    or too many of them, another root.
    """
    _require_hashes(leaf, root, *proof)
    if not 0 <= index < size:
        raise _broken(f"leaf {index} is not in a tree of {size}")
    left_over, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _broken(f"the inclusion proof of leaf {index} is too long")
        if left_over & 1 or left_over == last:
            digest = node_hash(sibling, digest)
            while left_over and not left_over & 1:
                left_over, last = left_over >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        left_over, last = left_over >> 1, last >> 1
    if last:
        raise _broken(f"the inclusion proof of leaf {index} is too short")
    if digest != root:
        raise _broken(f"leaf {index} is not in the tree of {size} with that root")


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Check that the tree of ``new_size`` begins with exactly the leaves of the tree of ``old_size``.

    Raises IntegrityError ``GL-LEDGER-004`` otherwise, also for malformed proofs. The empty old tree is consistent
    with every tree, by an empty proof and the empty root only.
    """
    _require_hashes(old_root, new_root, *proof)
    if not 0 <= old_size <= new_size:
        raise _broken(f"a tree of {new_size} can't continue one of {old_size}")
    if old_size in (0, new_size):
        expected = new_root if old_size == new_size else EMPTY_ROOT
        empty_differs = old_size == 0 and old_root != EMPTY_ROOT
        if proof or old_root != expected or empty_differs:
            raise _broken(f"sizes {old_size} and {new_size} need equal roots and an empty proof")
        return
    found_old, found_new = _roots_of(old_size, old_root, new_size, proof)
    if found_old != old_root or found_new != new_root:
        raise _broken(f"the tree of {new_size} does not begin with the tree of {old_size}")


def _roots_of(old_size: int, old_root: bytes, new_size: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise _broken("the consistency proof is too short")
    place, last = old_size - 1, new_size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    found_old = found_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _broken("the consistency proof is too long")
        if place & 1 or place == last:
            found_old, found_new = node_hash(sibling, found_old), node_hash(sibling, found_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found_new = node_hash(found_new, sibling)
        place, last = place >> 1, last >> 1
    if last:
        raise _broken("the consistency proof is too short")
    return found_old, found_new


def _split(size: int) -> int:
    """Return the largest power of two below ``size`` (RFC 6962 §2.1's k)."""
    return 1 << (size - 1).bit_length() - 1


def _range_root(start: int, size: int, node: NodeReader) -> bytes:
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return node(level, start >> level)
    left = _split(size)
    return node_hash(_range_root(start, left, node), _range_root(start + left, size - left, node))


def _require_hashes(*hashes: bytes) -> None:
    for digest in hashes:
        if len(digest) != HASH_BYTES:
            raise _broken(f"a hash has {len(digest)} bytes, expected {HASH_BYTES}")


def _broken(what: str) -> IntegrityError:
    return IntegrityError(
        "GL-LEDGER-004",
        f"a ledger proof does not hold: {what}.",
        "fetch proof and checkpoint again from their source; if it stays, keep both as evidence and tell the operator.",
    )
