"""A patch fits to the letter or is refused; and how a source distribution is named."""

import difflib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greylag.adapters.registry.patching import apply_patch
from greylag.adapters.registry.pinning import is_file_of, parse_pinned
from greylag.adapters.registry.port import Pinned
from greylag.domain.errors import RequestRefused

FILES = {"a.py": b"one\ntwo\nthree\nfour\n", "sub/b.py": b"x = 1\r\ny = 2\r\n"}
HEAD = "--- a/a.py\n+++ b/a.py\n"


def test_lines_are_replaced_added_and_removed() -> None:
    patch = HEAD + "@@ -1,4 +1,4 @@ anything\n one\n-two\n+TWO\n+and more\n three\n-four\n"
    assert apply_patch(FILES, patch)["a.py"] == b"one\nTWO\nand more\nthree\n"


def test_several_files_and_what_git_writes_around_them() -> None:
    patch = (
        "From 123 Mon Sep 17\nSubject: x\n---\n a.py | 2 +-\n\ndiff --git a/a.py b/a.py\nindex 1..2 100644\n"
        + HEAD + "@@ -2 +2 @@\n-two\n+2\ndiff --git a/sub/b.py b/sub/b.py\n"
        "--- a/sub/b.py\t2020-01-01\n+++ b/sub/b.py\t2020-01-01\n@@ -1,2 +1,2 @@\n"
        "-x = 1\r\n+x = 3\r\n y = 2\r\n-- \n2.50\n"
    )  # fmt: skip
    changed = apply_patch(FILES, patch)
    assert changed == {"a.py": b"one\n2\nthree\nfour\n", "sub/b.py": b"x = 3\r\ny = 2\r\n"}
    assert FILES["a.py"].startswith(b"one\ntwo")


def test_a_removed_line_may_look_like_a_file_header() -> None:
    files = {"q.sql": b"-- a/b\nselect\n"}
    patch = "--- a/q.sql\n+++ b/q.sql\n@@ -1,2 +1,2 @@\n--- a/b\n+++ b/c\n select\n"
    assert apply_patch(files, patch) == {"q.sql": b"++ b/c\nselect\n"}


LINES = st.lists(
    st.sampled_from(["a\n", "b\n", "\n", "-x\n", "+y\n", " z\n", "@@ -1 +1 @@\n", "\\\n", "é\r\n"]), max_size=30
)


@settings(max_examples=300, deadline=None)
@given(LINES, LINES, st.booleans(), st.booleans(), st.integers(0, 3))
def test_what_diff_writes_can_be_applied(old: list[str], new: list[str], cut_old: bool, cut_new: bool, n: int) -> None:
    before, after = "".join(old), "".join(new)
    before = before.removesuffix("\n") if cut_old else before
    after = after.removesuffix("\n") if cut_new else after
    if before == after:
        return
    written = []
    for line in difflib.unified_diff(_lines(before), _lines(after), "a/f", "b/f", n=n):
        written.append(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    assert apply_patch({"f": before.encode()}, "".join(written)) == {"f": after.encode()}


def _lines(text: str) -> list[str]:
    whole = text.split("\n")
    return [line + "\n" for line in whole[:-1]] + ([whole[-1]] if whole[-1] else [])


@pytest.mark.parametrize(
    "patch",
    [
        HEAD + "@@ -1,2 +1,2 @@\n one\n-TWO\n+2\n",
        HEAD + "@@ -2,2 +2,2 @@\n one\n-two\n+2\n",
        HEAD + "@@ -4,2 +4,2 @@\n four\n-five\n+5\n",
        HEAD + "@@ -2 +2 @@\n-two\n+2\n@@ -1 +1 @@\n-one\n+1\n",
        HEAD + "@@ -4 +4 @@\n-four\n\\ No newline at end of file\n+4\n",
        "--- a/none.py\n+++ b/none.py\n@@ -1 +1 @@\n-x\n+y\n",
        "--- a/../a.py\n+++ b/../a.py\n@@ -1 +1 @@\n-one\n+y\n",
    ],
)
def test_what_does_not_fit_is_refused(patch: str) -> None:
    with pytest.raises(RequestRefused) as raised:
        apply_patch(FILES, patch)
    assert raised.value.code == "GL-REGISTRY-008"


@pytest.mark.parametrize(
    "patch",
    [
        "",
        "not a patch",
        HEAD,
        "@@ -1 +1 @@\n-one\n+1\n",
        "--- a/a.py\n",
        "--- a/a.py\n+++ b/c.py\n@@ -1 +1 @@\n-one\n+1\n",
        "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+1\n",
        "--- a/a.py\n+++ /dev/null\n@@ -1,4 +0,0 @@\n-one\n-two\n-three\n-four\n",
        HEAD + "@@ -1,9 +1,9 @@\n one\n",
        HEAD + "@@ -x +1 @@\n-one\n+1\n",
        HEAD + "@@ -1 +1 @@\n*one\n",
        HEAD + "@@ -9999999999 +1 @@\n-one\n+1\n",
    ],
)
def test_what_is_no_patch_of_existing_files_is_refused(patch: str) -> None:
    with pytest.raises(RequestRefused) as raised:
        apply_patch(FILES, patch)
    assert raised.value.code == "GL-REGISTRY-007"


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="-+@ \\ab/01,\n\t\ud800é", max_size=200))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    for patch in (text, HEAD + "@@ -1 +1 @@\n" + text):
        with suppress(RequestRefused):
            apply_patch(FILES, patch)


def test_a_pinned_distribution_is_read() -> None:
    digest = "ab" * 32
    assert parse_pinned(f"more-itertools==10.8.0#sha256={digest}") == Pinned("more-itertools", "10.8.0", digest)


@pytest.mark.parametrize(
    "text",
    [
        "", "h11", "h11==0.16.0", "h11==0.16.0#sha256=abc", f"h11#sha256={'a' * 64}", f"h11==#sha256={'a' * 64}",
        f"../h11==1#sha256={'a' * 64}", f"h11==1/..#sha256={'a' * 64}", f"h11==1#md5={'a' * 64}",
        f"h11==1#sha256={'A' * 64}", f"h11==1#sha256={'a' * 65}", f"h11==1#sha256={'a' * 64}\n",
        f"-h==1#sha256={'a' * 64}",
    ],
)  # fmt: skip
def test_anything_less_is_refused(text: str) -> None:
    with pytest.raises(RequestRefused) as raised:
        parse_pinned(text)
    assert raised.value.code == "GL-REGISTRY-001"


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("more_itertools-10.8.0.tar.gz", True), ("more-itertools-10.8.0.tar.gz", True),
        ("More.Itertools-10.8.0.tar.gz", True), ("more_itertools-10.8.0.zip", False),
        ("more_itertools-10.8.0-py3-none-any.whl", False), ("more_itertools-10.8.1.tar.gz", False),
        ("more_itertools-10.8.0.post1.tar.gz", False), (".tar.gz", False),
    ],
)  # fmt: skip
def test_file_names_of_old_and_new_spelling(name: str, is_it: bool) -> None:
    assert is_file_of(name, Pinned("more-itertools", "10.8.0", "")) is is_it
