import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.domain.errors import IntegrityError
from greylag.governance.ledger.proofs import consistency_proof, inclusion_proof, verify_consistency, verify_inclusion
from greylag.governance.ledger.tree import EMPTY_ROOT, Tree, leaf_hash, peak_places, tree_of

# The eight-leaf tree with which Certificate Transparency implementations are checked since RFC 6962.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# Audit paths of that tree: (index, size, siblings from the leaf upwards).
CT_PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def recursive_root(bodies: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word: the slow way, to hold the quick one against."""
    if not bodies:
        return hashlib.sha256(b"").digest()
    if len(bodies) == 1:
        return hashlib.sha256(b"\x00" + bodies[0]).digest()
    split = 1
    while split * 2 < len(bodies):
        split *= 2
    return hashlib.sha256(b"\x01" + recursive_root(bodies[:split]) + recursive_root(bodies[split:])).digest()


def stored_nodes(bodies: list[bytes]) -> dict[tuple[int, int], bytes]:
    tree, nodes = Tree(), {}
    for body in bodies:
        tree, completed = tree.grown(leaf_hash(body))
        for node in completed:
            assert (node.level, node.position) not in nodes
            nodes[node.level, node.position] = node.digest
    return nodes


def reader(bodies: list[bytes]):
    nodes = stored_nodes(bodies)
    return lambda level, position: nodes[level, position]


def bodies_of(size: int) -> list[bytes]:
    return [f"entry {number}".encode() for number in range(size)]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_certificate_transparency_tree(size: int) -> None:
    assert tree_of(CT_LEAVES[:size]).root().hex() == CT_ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), CT_PATHS)
def test_audit_paths_of_the_certificate_transparency_tree(index: int, size: int, path: list[str]) -> None:
    made = inclusion_proof(index, size, reader(CT_LEAVES[:size]))
    assert [digest.hex() for digest in made] == path
    verify_inclusion(leaf_hash(CT_LEAVES[index]), index, size, made, bytes.fromhex(CT_ROOTS[size]))


def test_consistency_of_the_certificate_transparency_tree() -> None:
    made = consistency_proof(6, 8, reader(CT_LEAVES))
    assert [digest.hex() for digest in made] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    verify_consistency(6, bytes.fromhex(CT_ROOTS[6]), 8, bytes.fromhex(CT_ROOTS[8]), made)


@given(st.lists(st.binary(max_size=40), max_size=70))
def test_the_growing_tree_is_the_recursive_one(bodies: list[bytes]) -> None:
    tree = tree_of(bodies)
    assert tree.root() == recursive_root(bodies)
    nodes = stored_nodes(bodies)
    assert tree.peaks == tuple(nodes[place] for place in peak_places(len(bodies)))


def test_every_proof_of_every_small_tree_holds_and_no_other() -> None:
    for size in range(1, 34):
        bodies = bodies_of(size)
        node, root = reader(bodies), tree_of(bodies).root()
        for index in range(size):
            proof = inclusion_proof(index, size, node)
            verify_inclusion(leaf_hash(bodies[index]), index, size, proof, root)
            for wrong in {index + 1, index - 1, size} - {index}:
                with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
                    verify_inclusion(leaf_hash(bodies[index]), wrong, size, proof, root)


@given(st.integers(0, 130), st.integers(0, 130))
def test_every_consistency_proof_holds(one: int, two: int) -> None:
    old, new = sorted((one, two))
    bodies = bodies_of(new)
    proof = consistency_proof(old, new, reader(bodies))
    verify_consistency(old, tree_of(bodies[:old]).root(), new, tree_of(bodies).root(), proof)


@given(st.integers(1, 100), st.integers(1, 100), st.data())
def test_a_rewritten_history_has_no_consistency_proof(one: int, two: int, data: st.DataObject) -> None:
    old, new = sorted((one, two))
    bodies = bodies_of(new)
    rewritten = list(bodies)
    rewritten[data.draw(st.integers(0, old - 1))] = b"rewritten"
    proof = consistency_proof(old, new, reader(rewritten))
    with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
        verify_consistency(old, tree_of(bodies[:old]).root(), new, tree_of(rewritten).root(), proof)


def mutations(proof: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    changed = [
        (*proof[:place], bytes([proof[place][0] ^ 1]) + proof[place][1:], *proof[place + 1 :])
        for place in range(len(proof))
    ]
    swapped = [tuple(reversed(proof))] if len(set(proof)) > 1 else []
    short = [proof[:-1], proof[1:]] if proof else []
    odd = [(*proof[:-1], proof[-1][:31]), (*proof[:-1], proof[-1] + b"\0"), (*proof[:-1], b"")] if proof else []
    return [*changed, *swapped, *short, *odd, (*proof, bytes(32)), (bytes(32), *proof)]


@pytest.mark.parametrize("size", [1, 2, 3, 6, 7, 8, 13, 32, 33])
def test_mutated_inclusion_proofs_are_refused(size: int) -> None:
    bodies = bodies_of(size)
    root = tree_of(bodies).root()
    for index in range(size):
        for wrong in mutations(inclusion_proof(index, size, reader(bodies))):
            with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
                verify_inclusion(leaf_hash(bodies[index]), index, size, wrong, root)


@pytest.mark.parametrize("new", [1, 2, 3, 6, 7, 8, 13, 32, 33])
def test_mutated_consistency_proofs_are_refused(new: int) -> None:
    bodies = bodies_of(new)
    root = tree_of(bodies).root()
    for old in range(1, new + 1):
        old_root = tree_of(bodies[:old]).root()
        for wrong in mutations(consistency_proof(old, new, reader(bodies))):
            with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
                verify_consistency(old, old_root, new, root, wrong)


ROOT = tree_of([b"a"]).root()


@pytest.mark.parametrize(
    ("leaf", "index", "size", "proof", "root"),
    [
        (ROOT, 0, 0, [], EMPTY_ROOT),
        (ROOT, -1, 1, [], ROOT),
        (ROOT, 1, 1, [], ROOT),
        (ROOT[:31], 0, 1, [], ROOT[:31]),
        (b"", 0, 1, [], b""),
        (ROOT, 0, 1, [b""], ROOT),
        (ROOT, 0, 2**62, [], ROOT),
    ],
)
def test_malformed_inclusion_questions_are_refused(leaf: bytes, index: int, size: int, proof: list, root: bytes):
    with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
        verify_inclusion(leaf, index, size, proof, root)


@pytest.mark.parametrize(
    ("old_size", "old_root", "new_size", "new_root", "proof"),
    [
        (0, ROOT, 1, ROOT, []),
        (0, EMPTY_ROOT, 1, ROOT, [ROOT]),
        (0, EMPTY_ROOT, 0, ROOT, []),
        (0, ROOT, 0, ROOT, []),
        (1, ROOT, 0, EMPTY_ROOT, []),
        (1, ROOT, 1, EMPTY_ROOT, []),
        (1, ROOT, 1, ROOT, [ROOT]),
        (1, ROOT, 2, ROOT, []),
        (-1, ROOT, 1, ROOT, []),
        (3, ROOT, 4, ROOT, []),
        (1, b"", 1, b"", []),
        (1, ROOT, 2**62, ROOT, [ROOT]),
    ],
)
def test_malformed_consistency_questions_are_refused(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: list
) -> None:
    with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
        verify_consistency(old_size, old_root, new_size, new_root, proof)


def test_the_empty_tree_continues_as_any_tree() -> None:
    verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, [])
    verify_consistency(0, EMPTY_ROOT, 1, ROOT, [])


def test_proofs_are_not_made_for_what_is_not_there() -> None:
    node = reader(bodies_of(3))
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
            inclusion_proof(index, size, node)
    for old, new in ((3, 2), (-1, 2)):
        with pytest.raises(IntegrityError, match="GL-LEDGER-004"):
            consistency_proof(old, new, node)


def test_a_leaf_is_no_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert leaf_hash(left + right) != tree_of([b"a", b"b"]).root()
    assert all(one != two for one, two in pairwise([leaf_hash(b""), EMPTY_ROOT, leaf_hash(b"\x00")]))
