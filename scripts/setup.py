"""Set-up: everything Greylag needs, from the lock file, into this folder. Standard library only.

Needs Python 3.11+, git and make; no pip, no venv module, no root. Fetches one pinned `uv` wheel by its SHA-256, lets it
install the locked packages (each checked against the lock file's SHA-256), and beside that fetches the Claude Code
binary from its registry package (optional, not shipped). Made: ``.venv`` (the product and its tests), ``.toolchain``
(what sandboxes see), ``.tools``. Outside the checkout only uv's cache is written.

With ``--for-tests`` it installs, in the same way, what nothing but the tests needs: ``.tools/matrix``, a chat server.

Run again, it does what is left to do: an environment that was being changed when set-up ended is made anew.
Exit codes: 0 done, 1 failed with a ``GL-SETUP-…`` message, 130 interrupted.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
READY = ROOT / ".venv" / ".ready"
GROUPS = {".venv": ["--group", "dev"], ".toolchain": ["--only-group", "toolchain"]}
#: Environments that only tests need; neither demo nor development waits for them.
FOR_TESTS = {".tools/matrix": ["--only-group", "matrix-server"]}
ENVIRONMENTS = GROUPS | FOR_TESTS
UV_VERSION = "0.13.9"
UV_WHEELS = {
    # machine: (file name, SHA-256, bytes)
    "x86_64": (
        "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
        17_606_939,
    ),
    "aarch64": (
        "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
        "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
        18_026_789,
    ),
}
SANDBOXED_MACHINE = "x86_64"
OLDEST_GLIBC = (2, 34)  # of the locked wheels
NEEDED_BYTES = 1800 * 1024 * 1024  # cache, two environments, the agent's archive and program
DEBIAN = {"git": "git", "make": "make"}
NEWER_PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")
NO_AGENT_FOR_THIS_MACHINE = 4  # an exit code of fetch_claude.py
PROGRESS = ("Downloading ", "Prepared ", "Installed ", "Bytecode ", "claude-agent-sdk ", "Claude Code ")
FREE_SPACE = "free about 2 GB and run it again."
OTHER_INDEX = "ask whoever runs the package index; try another index with `UV_DEFAULT_INDEX`."
OTHER_MACHINE = "use Linux on x86-64 with glibc 2.34 or newer, for instance Debian 12."
OWN_FOLDER = "own the checkout, and set `UV_CACHE_DIR` to a folder of yours."
NETWORK = (
    "check the network, then run it again"
    " (proxy: `HTTPS_PROXY`, index: `UV_DEFAULT_INDEX`, certificates: `SSL_CERT_FILE`)."
)
CAUSES = (
    # words in the output, code, cause, remedy
    (("no space left", "os error 28"), "005", "the disk is full.", FREE_SPACE),
    (("hash mismatch",), "006", "a package is another than the locked one; it was not installed.", OTHER_INDEX),
    (("current platform", "matching platform"), "004", "a package has no build for this machine.", OTHER_MACHINE),
    (("permission denied", "os error 13", "read-only file"), "007", "a folder can't be written.", OWN_FOLDER),
    (("failed to download", "failed to fetch", "client error", "dns"), "003", "a package can't be fetched.", NETWORK),
)


class SetupError(Exception):
    """Set-up can't go on: a code, the cause, the next step."""

    def __init__(self, number: str, cause: str, remedy: str) -> None:
        super().__init__(f"GL-SETUP-{number}: {cause} Next: {remedy}")


class Job:
    """A child process whose output becomes progress lines; its last lines are kept for the message on failure.

    It holds ``lock`` too, so that what outlives a killed set-up is waited for by the next one.
    """

    def __init__(self, name: str, command: list[str | Path], environment: dict[str, str], lock: int) -> None:
        self.name = name
        self.tail: list[str] = []
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True, pass_fds=[lock],
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait(self) -> int:
        """Return the exit code, as soon as all output is told."""
        while self._reader.is_alive():
            self._reader.join(timeout=10)
            if self._reader.is_alive():
                say(f"{self.name}: still at it ({time.monotonic() - self._began:.0f} s)")
        return self._process.wait()

    def stop(self) -> None:
        """End it and its children; nothing happens where it has ended."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            text = line.strip()
            self.tail = [*self.tail[-30:], text]
            if text.startswith(PROGRESS):
                say(f"{self.name}: {text}")


def main(groups: dict[str, list[str]] = GROUPS) -> int:
    """Set everything up, or ``groups`` alone; return the exit code."""
    began = time.monotonic()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        use_new_python()
        check_machine()
        with OneAtATime() as lock:
            have_programs()
            complete = install(lock, groups)
            for ready in [READY] if groups is GROUPS else [ROOT / folder / ".ready" for folder in groups]:
                ready.touch() if complete else ready.unlink(missing_ok=True)
    except SetupError as error:
        print(f"set-up failed, {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("set-up was interrupted; run it again and it goes on.", file=sys.stderr, flush=True)
        return 130
    say(f"ready in {time.monotonic() - began:.0f} s")
    return 0


def interrupt(*_: object) -> None:
    """End as Ctrl-C does, so that children end too."""
    raise KeyboardInterrupt


def use_new_python() -> None:
    """Go on with a newer Python of this machine where this one is too old."""
    if sys.version_info >= (3, 11):  # noqa: UP036 - run by whatever `python3` there is
        return
    for name in NEWER_PYTHONS:
        newer = shutil.which(name)
        if newer:
            os.execv(newer, [newer, __file__, *sys.argv[1:]])  # noqa: S606 - the same program, no shell
    raise SetupError(
        "001", f"Python {platform.python_version()} at {sys.executable} is too old, 3.11 is needed.",
        "install Python 3.11 or newer, or name one: `make PYTHON=/path/to/python3.11 setup`.",
    )  # fmt: skip


def check_machine() -> None:
    """Raise SetupError where Greylag can't run, or there is no room for it."""
    libc, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    machine = platform.machine()
    if sys.platform != "linux" or machine not in UV_WHEELS or libc != "glibc" or numbers < OLDEST_GLIBC:
        raise SetupError(
            "004", f"this is {sys.platform} on `{machine}` with {libc or 'an unknown C library'} {version};"
            f" Linux on {' or '.join(UV_WHEELS)} with glibc 2.34 or newer is needed.",
            OTHER_MACHINE,
        )  # fmt: skip
    if machine != SANDBOXED_MACHINE:
        say(f"this is {machine}: everything is installed, but tasks need {SANDBOXED_MACHINE}, which the sandbox is for")
    free = shutil.disk_usage(ROOT).free
    if not (ROOT / ".venv").exists() and free < NEEDED_BYTES:
        raise SetupError(
            "005", f"{ROOT} has {free >> 20} MB free, {NEEDED_BYTES >> 20} MB are needed.",
            "free some space, or clone onto another disk.",
        )  # fmt: skip


class OneAtATime:
    """Holds the checkout for one set-up at a time; a second one waits, saying so."""

    def __enter__(self) -> int:
        import fcntl  # noqa: PLC0415 - not on every system: `check_machine` came first

        try:
            TOOLS.mkdir(exist_ok=True)
            self._file = (TOOLS / "lock").open("w")
        except OSError as error:
            raise SetupError(
                "007",
                f"{TOOLS} can't be written: {error.strerror}.",
                "own the checkout, or clone it to a folder of yours.",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is at work in this folder, waiting for it")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file.fileno()

    def __exit__(self, *_: object) -> None:
        self._file.close()


def have_programs() -> None:
    """Install missing Debian packages where that is allowed; say what to do where it isn't."""
    missing = [package for program, package in DEBIAN.items() if shutil.which(program) is None]
    if not has_certificates():
        missing.append("ca-certificates")
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError("002", f"missing: {wanted}.", f"ask an administrator for: apt-get install {wanted}")
    say(f"installing {wanted}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", *missing]):
        if subprocess.run(command, check=False, env=environment).returncode != 0:
            raise SetupError(
                "002", f"missing: {wanted}; `{' '.join(command)}` failed.",
                "check the network and the package sources, then run it again.",
            )  # fmt: skip


def has_certificates() -> bool:
    """Return whether TLS has roots to check against, so that a failure isn't taken for a broken network."""
    paths = ssl.get_default_verify_paths()
    folder = Path(paths.capath) if paths.capath else None
    return bool(configured_certificates() or paths.cafile or (folder and any(folder.glob("*.0"))))


def configured_certificates() -> str | None:
    """Return the file of certificates this machine is set to."""
    import package_index  # noqa: PLC0415 - needs Python 3.11, which `use_new_python` made sure of

    return package_index.configured_certificates()


def install(lock: int, groups: dict[str, list[str]]) -> bool:
    """Install the environments, and for those of everybody the agent, all at once.

    Returns whether nothing is left to be tried again.
    """
    uv = find_uv()
    environment = child_environment()
    discard_leavings()
    environment["GREYLAG_SETUP_UV"] = str(uv)
    # This file again, as one environment may take several steps.
    commands: dict[str, list[str | Path]] = {folder: [sys.executable, __file__, folder] for folder in groups}
    if groups is GROUPS:
        commands["agent"] = [sys.executable, ROOT / "scripts" / "fetch_claude.py"]
    jobs = {name: Job(name, command, environment, lock) for name, command in commands.items()}
    agent = jobs.get("agent")
    try:
        for job in jobs.values():
            if job is not agent and job.wait() != 0:
                raise failure(job)
        code = agent.wait() if agent else 0
    finally:
        for job in jobs.values():
            job.stop()
    if agent and code != 0:
        print("\n".join(agent.tail), file=sys.stderr, flush=True)
    return code in (0, NO_AGENT_FOR_THIS_MACHINE)


def sync(folder: str) -> int:
    """Bring one environment to what the lock file says; return uv's exit code.

    The lock file names pypi.org's own addresses. Where this machine is set to another index, the same versions with the
    same SHA-256 come from there.
    """
    from package_index import DEFAULT_INDEX  # noqa: PLC0415 - needs Python 3.11

    target = ROOT / folder
    unfinished(folder).touch()
    steps = from_lock_file(folder) if os.environ["UV_DEFAULT_INDEX"] == DEFAULT_INDEX else from_other_index(folder)
    settings = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(target)}
    codes = (subprocess.run(step, check=False, cwd=ROOT, env=settings).returncode for step in steps)
    failed = next((code for code in codes if code), 0)
    if not failed:
        unfinished(folder).unlink()
    return failed


def from_lock_file(folder: str) -> list[list[str | Path]]:
    """Return the commands that install as the lock file says, from where it says."""
    project = [] if folder == ".venv" else ["--no-install-project"]
    return [[os.environ["GREYLAG_SETUP_UV"], "sync", "--frozen", *ENVIRONMENTS[folder], *project]]


def from_other_index(folder: str) -> list[list[str | Path]]:
    """Return the commands that install what the lock file says from the index this machine is set to."""
    uv = os.environ["GREYLAG_SETUP_UV"]
    listed = TOOLS / f"{in_a_name(folder)}.txt"
    python = ROOT / folder / "bin" / "python"
    steps: list[list[str | Path]] = [
        [uv, "export", "--frozen", "--quiet", *ENVIRONMENTS[folder], "--no-emit-project", "--output-file", listed],
        [uv, "venv", "--quiet", "--allow-existing", ROOT / folder],
        [uv, "pip", "sync", "--require-hashes", "--python", python, listed],
    ]
    if folder == ".venv":
        editable = ["--no-deps", "--no-build-isolation", "--editable", ROOT]
        steps.append([uv, "pip", "install", "--python", python, *editable])
    return steps


def child_environment() -> dict[str, str]:
    """Return the environment for uv and the agent's fetcher: this machine's index and certificates, this Python."""
    import package_index  # noqa: PLC0415 - needs Python 3.11

    dropped = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT")
    environment = {name: value for name, value in os.environ.items() if name not in dropped}
    environment |= {
        "UV_DEFAULT_INDEX": package_index.configured_index(),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
        "PYTHONUNBUFFERED": "1",
    }
    environment.setdefault("UV_SYSTEM_CERTS", "1")
    environment.setdefault("UV_COMPILE_BYTECODE", "1")  # read-only for sandboxes, and a second less at each start
    certificates = package_index.configured_certificates()
    if certificates:
        environment.setdefault("SSL_CERT_FILE", certificates)
    cache = Path(environment.get("XDG_CACHE_HOME") or Path(environment.get("HOME") or "/nonexistent") / ".cache")
    if "UV_CACHE_DIR" not in environment and not can_write(cache):
        environment["UV_CACHE_DIR"] = str(ROOT / ".cache" / "uv")
    return environment


def can_write(folder: Path) -> bool:
    """Return whether ``folder`` is, or could be made, a folder that this user writes to."""
    # os.path's test says False, not an error, where a parent can't be looked into.
    while not os.path.exists(folder) and folder != folder.parent:
        folder = folder.parent
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def unfinished(folder: str) -> Path:
    """Return the mark that stands while an environment is being changed."""
    return TOOLS / f"unfinished.{in_a_name(folder)}"


def in_a_name(folder: str) -> str:
    """Return what a file about ``folder`` is called after."""
    return folder[1:].replace("/", "-")


def discard_leavings() -> None:
    """Remove what an interrupted set-up left half done."""
    for folder in ENVIRONMENTS:
        if unfinished(folder).exists() and (ROOT / folder).exists():
            say(f"{folder} was left half done, making it anew")
            shutil.rmtree(ROOT / folder)
    for scratch in (TOOLS / "claude").glob(".fetch-*"):
        shutil.rmtree(scratch, ignore_errors=True)


def find_uv() -> Path:
    """Return a `uv` of the pinned version: the one in `.tools`, or fetched and checked."""
    from package_index import FileUnacceptable, IndexUnavailable, download, find  # noqa: PLC0415 - needs Python 3.11

    target = TOOLS / f"uv-{UV_VERSION}"
    if target.exists():
        return target
    name, digest, size_bytes = UV_WHEELS[platform.machine()]
    say(f"fetching uv {UV_VERSION}")
    archive = TOOLS / name
    part = target.with_suffix(".part")
    try:
        download(find("uv", name), archive, digest, size_bytes)
        with zipfile.ZipFile(archive) as wheel:
            member = next(each for each in wheel.namelist() if each.endswith("/scripts/uv"))
            part.write_bytes(wheel.read(member))
        part.chmod(0o755)
        part.rename(target)
    except IndexUnavailable as error:
        raise SetupError("003", str(error), NETWORK) from error
    except FileUnacceptable as error:
        raise SetupError("006", str(error), OTHER_INDEX) from error
    except OSError as error:
        raise SetupError("005", f"{archive} can't be written: {error.strerror}.", FREE_SPACE) from error
    finally:
        archive.unlink(missing_ok=True)
    return target


def failure(job: Job) -> SetupError:
    """Return what ``job``'s last lines say about its failure."""
    said = "\n  ".join(line for line in job.tail if line and line[0] not in "+-~")
    print(f"{job.name}:\n  {said}", file=sys.stderr, flush=True)
    for words, number, cause, remedy in CAUSES:
        if any(word in said.lower() for word in words):
            return SetupError(number, cause, remedy)
    return SetupError("008", f"`{job.name}` could not be installed, see above.", "mend the cause and run it again.")


def say(what: str) -> None:
    """Tell what is being done."""
    print(f"set-up: {what}", flush=True)


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else ""
    if given.startswith("."):
        raise SystemExit(sync(given))
    raise SystemExit(main(FOR_TESTS if given == "--for-tests" else GROUPS))
