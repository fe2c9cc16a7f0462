"""Reading an untrusted workspace: any tree comes back exactly, and nothing but files comes back at all."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greylag.adapters.forge.backends.builtin import BuiltinForge
from greylag.adapters.forge.conformance import TEXT, Stand
from greylag.adapters.forge.port import CaptureLimits
from greylag.domain.errors import RequestRefused
from tests.support.permits import permit

_NAMES = st.sampled_from(["a", "b", "a b", "é", "x\ny", "-n", ":!z", '"q', "d\\e", "\udcff"])
_CONTENT = st.one_of(
    st.binary(max_size=64),
    st.lists(st.sampled_from([b"one", b"two", b"", b"\r", b"--- a/x", b"diff --git"]), max_size=8).map(b"\n".join),
)
_TREES = st.dictionaries(
    st.lists(_NAMES, min_size=1, max_size=3).map("/".join),
    st.one_of(st.tuples(st.just("file"), _CONTENT, st.booleans()), st.tuples(st.just("link"), _NAMES, st.just(False))),
    max_size=9,
)


def _lay(folder: Path, tree: dict[str, tuple[str, bytes | str, bool]]) -> None:
    for child in folder.iterdir():
        if child.name != ".git":
            subprocess.run(["rm", "-rf", "--", str(child)], check=True)
    for path, (kind, content, executable) in tree.items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if kind == "link":
                target.symlink_to(content)
            else:
                target.write_bytes(content)
                target.chmod(0o755 if executable else 0o644)
        except OSError:
            continue  # this path lies below a file or through a link: the tree is then without it


def _seen(folder: Path) -> dict[str, tuple[str, bytes, bool]]:
    found = {}
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".git"]
        for name in (*files, *(name for name in folders if (Path(here) / name).is_symlink())):
            path = Path(here, name)
            key = str(path.relative_to(folder))
            if path.is_symlink():
                found[key] = ("link", os.fsencode(path.readlink()), False)
            else:
                found[key] = ("file", path.read_bytes(), bool(path.stat().st_mode & 0o100))
    return found


@given(before=_TREES, after=_TREES)
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_change_comes_back_exactly(before, after, tmp_path_factory) -> None:
    tmp_path = tmp_path_factory.mktemp("round")

    async def go() -> None:
        stand = Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")
        empty = await stand.forge.create(stand.push_permit(), "service", {}, frozenset(), TEXT)
        first = await stand.changed(empty, "one", lambda folder: _lay(folder, before))
        base = await stand.push("base", empty, first.patch)
        second = await stand.changed(base, "two", lambda folder: _lay(folder, after))
        pushed = await stand.push("topic", base, second.patch)
        assert await stand.forge.tree_of("service", pushed) == second.tree
        clean = await stand.workspace(pushed, "three")
        assert _seen(clean) == _seen(tmp_path / "two")
        patched = await stand.workspace(base, "four", second.patch)
        assert _seen(patched) == _seen(tmp_path / "two")
        assert await stand.forge.rebase("service", second.patch, base) == second.patch

    asyncio.run(go())


_OTHERS_PYTHON = "/usr/bin/python3"


def _python_for_others() -> bool:
    if os.geteuid() != 0:
        return False
    try:
        done = subprocess.run(
            [_OTHERS_PYTHON, "-c", "import sys, greylag.domain; assert sys.version_info >= (3, 11)"],
            user=1234, group=1234, extra_groups=(), env={"PYTHONPATH": "src"}, capture_output=True,
            check=False,
        )  # fmt: skip
    except OSError:
        return False
    return done.returncode == 0


@pytest.fixture
async def stand(tmp_path: Path) -> Stand:
    return Stand(BuiltinForge(tmp_path / "forge"), permit, tmp_path, "service")


async def test_what_a_reviewer_must_look_at_is_named(stand: Stand) -> None:
    def change(folder: Path) -> None:
        (folder / "inside").symlink_to("src/app.py")
        (folder / "src" / "outside").symlink_to("../../etc/passwd")
        (folder / "absolute").symlink_to("/etc/passwd")
        (folder / ".github/workflows").mkdir(parents=True)
        for name in (
            ".github/workflows/ci.yml",
            ".envrc",
            "src/Makefile",
            ".gitattributes",
            ".gitmodules",
            "new\nline",
        ):
            (folder / name).write_text("x")

    warnings = (await stand.changed(await stand.repository(), "one", change)).warnings
    assert len(warnings) == 9
    assert all(line.isprintable() for line in warnings)
    assert [line for line in warnings if "OUTSIDE" in line] == [
        "`absolute` is a symbolic link to `/etc/passwd`, OUTSIDE the repository",
        "`src/outside` is a symbolic link to `../../etc/passwd`, OUTSIDE the repository",
    ]
    assert "`inside` is a symbolic link to `src/app.py`" in warnings


async def test_ignore_rules_are_those_of_the_base(stand: Stand) -> None:
    def change(folder: Path) -> None:
        (folder / ".gitignore").write_text("*.py\n")  # an agent can't hide its files by a rule of its own
        (folder / "hidden.py").write_text("x")
        (folder / "build").mkdir()
        (folder / "build" / "out").write_text("x")

    captured = await stand.changed(await stand.repository(), "one", change)
    assert captured.files == (".gitignore", "hidden.py")


async def test_tracked_files_are_taken_though_a_rule_ignores_them(stand: Stand) -> None:
    files = {".gitignore": b"build/\n*.log\n!keep.log\n", "build/kept.txt": b"1", "a.log": b"1"}
    commit = await stand.forge.create(stand.push_permit(), "service", files, frozenset(), TEXT)

    def change(folder: Path) -> None:
        for name in ("build/kept.txt", "build/new.txt", "a.log", "b.log", "keep.log"):
            (folder / name).write_text("2")

    assert (await stand.changed(commit, "one", change)).files == ("a.log", "build/kept.txt", "keep.log")


async def test_a_huge_ignored_folder_costs_nothing(stand: Stand) -> None:
    def change(folder: Path) -> None:
        (folder / "node_modules").mkdir()
        for number in range(3000):
            (folder / "node_modules" / str(number)).touch()
        (folder / "node_modules/dep/.git").mkdir(parents=True)

    commit = await stand.repository()
    folder = await stand.workspace(commit)
    change(folder)
    assert (await stand.capture(commit, folder, CaptureLimits(files=10))).files == ()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda at: os.mkfifo(at / "p"), "'p' is a FIFO"),
        (lambda at: socket.socket(socket.AF_UNIX).bind(os.path.relpath(at / "s")), "'s' is a socket"),
        (lambda at: os.link(at / "README.md", at / "twin"), "is a hard link"),
        (lambda at: (at / "sub" / ".git").mkdir(parents=True), "'sub/.git' is a git repository"),
        (lambda at: (at / "sub").mkdir() or (at / "sub" / ".GiT").write_text("gitdir: /"), "'sub/.GiT' is a git"),
        (lambda at: (at / "git~1").write_text(""), "'git~1' is a git repository"),
        (lambda at: (at / ".g\u200cit").mkdir(), "is a git repository"),
        (lambda at: (at / "/".join(["d"] * 70)).mkdir(parents=True), "more than 64 folders deep"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:unclosed <socket")
async def test_what_cannot_be_taken_is_refused_by_name(make, says: str, stand: Stand) -> None:
    commit = await stand.repository()
    folder = await stand.workspace(commit)
    make(folder)
    with pytest.raises(RequestRefused) as refused:
        await asyncio.wait_for(stand.capture(commit, folder), 20)
    assert refused.value.code == "GL-FORGE-007"
    assert says in refused.value.message


@pytest.mark.parametrize(
    "make",
    [
        lambda at: (at / ".gitmodules").symlink_to("src/app.py"),
        lambda at: (at / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = -oProxyCommand=x\n'),
        lambda at: (at / ".gitmodules").write_text('[submodule "../x"]\n\tpath = x\n\turl = ./x\n'),
    ],
)
async def test_what_git_itself_calls_dangerous_is_refused_at_once(make, stand: Stand) -> None:
    with pytest.raises(RequestRefused, match="gitmodules") as refused:
        await stand.changed(await stand.repository(), "one", make)
    assert refused.value.code == "GL-FORGE-007"


async def test_a_link_in_place_of_a_folder_is_a_link(stand: Stand) -> None:
    def change(folder: Path) -> None:
        (folder / "src" / "app.py").unlink()
        (folder / "src").rmdir()
        (folder / "src").symlink_to("/etc")

    captured = await stand.changed(await stand.repository(), "one", change)
    assert captured.files == ("src", "src/app.py")
    assert b"root:" not in captured.patch


async def test_a_missing_workspace_is_refused(stand: Stand, tmp_path: Path) -> None:
    commit = await stand.repository()
    (tmp_path / "link").symlink_to("/etc")
    for folder in (tmp_path / "none", tmp_path / "link"):
        with pytest.raises(RequestRefused, match="can't be opened"):
            await stand.capture(commit, folder)


async def test_a_workspace_that_changes_meanwhile_never_yields_a_wrong_tree(stand: Stand) -> None:
    commit = await stand.repository()
    folder = await stand.workspace(commit)
    script = """
import os
while 1:
    for c in b"ab":
        open("t", "wb").write(bytes([c]) * 70000)
        os.replace("t", "src/app.py")
"""
    busy = subprocess.Popen([sys.executable, "-c", script], cwd=folder)
    try:
        whole = {b"a" * 70000, b"b" * 70000}
        for number in range(5):
            try:
                captured = await stand.capture(commit, folder)
            except RequestRefused:
                continue
            pushed = await stand.push("topic", commit, captured.patch)
            clean = await stand.workspace(pushed, f"clean{number}")
            assert (clean / "src/app.py").read_bytes() in {*whole, b"def skip():\n    return 1\n"}
    finally:
        busy.kill()
        busy.wait()


async def test_a_submodule_stays_as_it_is_and_is_not_entered(stand: Stand, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    subprocess.run([*git, "init", "-q", "-b", "main"], cwd=source, env=env, check=True)
    subprocess.run(
        [*git, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},lib"], cwd=source, env=env, check=True
    )
    (source / "f").write_text("1")
    (source / "lib").mkdir()
    subprocess.run([*git, "add", "f"], cwd=source, env=env, check=True)
    subprocess.run([*git, "commit", "-qm", "x"], cwd=source, env=env, check=True)
    await stand.forge.import_repository(stand.push_permit(), "service", str(source), None)
    commit = await stand.forge.head("service", "main")
    folder = await stand.workspace(commit)
    assert (await stand.capture(commit, folder)).files == ()
    (folder / "lib" / "x").write_text("1")
    with pytest.raises(RequestRefused, match="'lib' is a submodule"):
        await stand.capture(commit, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
@pytest.mark.skipif(not _python_for_others(), reason="no Python and sources that another user may read")
def test_all_of_it_works_as_an_ordinary_user(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, os, sys
        from pathlib import Path
        from greylag.adapters.forge.backends.builtin import BuiltinForge
        from greylag.adapters.forge.conformance import CHECKS, Stand, check_forge
        from greylag.domain.errors import RequestRefused
        from tests.support.permits import permit

        async def go(root):
            wanted = [c for c in CHECKS if not c.name.startswith("trap_")]
            for outcome in await check_forge(BuiltinForge(root / "forge"), permit, root, tuple(wanted)):
                assert outcome.held, outcome
            stand = Stand(BuiltinForge(root / "forge"), permit, root, "service")
            commit = await stand.repository()
            folder = await stand.workspace(commit)
            (folder / "secret").write_text("x"); (folder / "secret").chmod(0)
            try:
                await stand.capture(commit, folder)
            except RequestRefused as refused:
                assert "'secret' can't be read" in refused.message, refused
            else:
                raise AssertionError("an unreadable file was taken")
        asyncio.run(go(Path(sys.argv[1])))
        """
    )
    home = Path("/tmp") / f"greylag-user-{os.getpid()}"  # pytest's own folder is closed to others
    home.mkdir(mode=0o777)
    try:
        os.chown(home, 1234, 1234)
        done = subprocess.run(
            [_OTHERS_PYTHON, "-c", script, str(home)], user=1234, group=1234, extra_groups=(), cwd=Path.cwd(),
            env={"PYTHONPATH": "src:.", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)
    assert done.returncode == 0, done.stderr
