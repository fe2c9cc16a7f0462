"""A thousand hostile texts through everything that a page is made with: shown whole, and only ever as text."""

import subprocess
import sys

from tests.support import hostile_strings as hostile


def test_there_are_a_thousand_and_always_the_same_ones() -> None:
    texts = hostile.texts()
    assert len(set(texts)) == len(texts) >= hostile.LEAST
    assert len(hostile.sayable()) >= hostile.LEAST <= len(hostile.file_names())
    assert {kind for kind, found in hostile.by_kind().items() if len(found) < 8} == set()
    program = (
        "import hashlib, tests.support.hostile_strings as h; print(hashlib.sha256(b'|'.join(h.raw())).hexdigest())"
    )
    seen = {
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
                       capture_output=True, text=True, check=True, timeout=60).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1
