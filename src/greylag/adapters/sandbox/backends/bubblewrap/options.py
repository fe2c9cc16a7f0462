"""What bubblewrap is told: the file system, the name spaces and the limits of one sandbox.

Everything goes through a descriptor (``--args``), so neither the host's process list nor ``/proc/1/cmdline`` inside
shows a value. bubblewrap(1) describes each option.
"""

import resource
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from greylag.adapters.sandbox.port import GATEWAY_SOCKET, HOME, WORKSPACE, Limits, Network, SandboxSpec

INSIDE_UID = 1000
PRLIMIT = "/usr/bin/prlimit"
PATH = "/usr/local/bin:/usr/bin:/bin"
_MEBIBYTE = 1024 * 1024
_SHARED_MEMORY_BYTES = 64 * _MEBIBYTE
_TEMPORARY, _TEMPORARY_TOO, _SHARED_MEMORY = "/tmp", "/var/tmp", "/dev/shm"  # noqa: S108 inside, where all is private

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64")
_SYSTEM_FILES = (
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime",
    "/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/etc/pki/tls", "/etc/pki/ca-trust/extracted",
    "/etc/mime.types", "/etc/os-release", "/etc/protocols", "/etc/services",
)  # fmt: skip
_PLAIN_FILES = {
    "/etc/passwd": f"agent:x:{INSIDE_UID}:{INSIDE_UID}:agent:{HOME}:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "/etc/group": f"agent:x:{INSIDE_UID}:\nnogroup:x:65534:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/hostname": "sandbox\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/resolv.conf": "",
    # Owners look different inside, so git would read every file again without `checkStat`.
    "/etc/gitconfig": "[core]\n\tcheckStat = minimal\n\ttrustctime = false\n[safe]\n\tdirectory = *\n"
    "[user]\n\tname = agent\n\temail = agent@sandbox.invalid\n[init]\n\tdefaultBranch = main\n",
}
_NAME_SERVICE = ("/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf")


@dataclass(frozen=True, slots=True)
class Bind:
    """One host path, as bubblewrap can reach it, seen inside at ``target``."""

    source: str
    target: str
    writable: bool


def system_files(network: Network) -> dict[str, bytes]:
    """Return the small files of ``/etc``; with the host's network the host's own name service files."""
    files = {path: text.encode() for path, text in _PLAIN_FILES.items()}
    if network is Network.HOST:
        for path in _NAME_SERVICE:
            if Path(path).is_file():
                files[path] = Path(path).read_bytes()
    return files


def arguments(spec: SandboxSpec, binds: Iterable[Bind], files: Mapping[str, int]) -> list[str]:
    """Return bubblewrap's options for ``spec``; ``files`` maps a path inside to the descriptor of its content."""
    return [
        *_namespaces(spec.network),
        *_system(files),
        *_memory_folders(spec.limits),
        *_binds(binds),
        *_environment(spec.env),
        "--chdir", WORKSPACE, "--remount-ro", "/",
    ]  # fmt: skip


def command(spec: SandboxSpec) -> list[str]:
    """Return the program behind its limits, which count only what runs inside because they are set inside."""
    limits = spec.limits
    wanted = {
        "nproc": (resource.RLIMIT_NPROC, limits.processes),
        "nofile": (resource.RLIMIT_NOFILE, limits.open_files),
        "fsize": (resource.RLIMIT_FSIZE, limits.file_size_mb * _MEBIBYTE),
        "data": (resource.RLIMIT_DATA, limits.memory_mb * _MEBIBYTE),
        "memlock": (resource.RLIMIT_MEMLOCK, _MEBIBYTE // 16),
        "msgqueue": (resource.RLIMIT_MSGQUEUE, 0),
        "core": (resource.RLIMIT_CORE, 0),
        "rtprio": (resource.RLIMIT_RTPRIO, 0),
    }
    options = [f"--{name}={_within_hard_limit(kind, value)}" for name, (kind, value) in wanted.items()]
    return [PRLIMIT, *options, "--", *spec.argv]


def _within_hard_limit(kind: int, value: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _namespaces(network: Network) -> list[str]:
    options = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if network is not Network.HOST:
        options.append("--unshare-net")
    identity = str(INSIDE_UID)
    return [
        *options, "--disable-userns", "--uid", identity, "--gid", identity, "--hostname", "sandbox",
        "--cap-drop", "ALL", "--die-with-parent", "--new-session", "--clearenv",
    ]  # fmt: skip


def _system(files: Mapping[str, int]) -> list[str]:
    options = ["--ro-bind", "/usr", "/usr"]
    for name in _MERGED:
        path = Path("/", name)
        if path.is_symlink():
            options += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            options += ["--ro-bind", str(path), str(path)]
    options += ["--perms", "0755", "--dir", "/etc", "--perms", "0755", "--dir", "/etc/ssl"]
    for system_file in _SYSTEM_FILES:
        options += ["--ro-bind-try", system_file, system_file]
    for target, descriptor in files.items():
        options += ["--perms", "0444", "--file", str(descriptor), target]
    return options


def _memory_folders(limits: Limits) -> list[str]:
    size = str(max(16, min(512, limits.memory_mb // 4)) * _MEBIBYTE)
    return [
        "--proc", "/proc", "--dev", "/dev", "--size", str(_SHARED_MEMORY_BYTES), "--tmpfs", _SHARED_MEMORY,
        "--remount-ro", "/dev", "--perms", "1777", "--size", size, "--tmpfs", _TEMPORARY,
        "--perms", "0755", "--dir", "/home", "--perms", "0755", "--size", size, "--tmpfs", HOME,
        "--perms", "0755", "--dir", "/run", "--perms", "0755", "--dir", str(Path(GATEWAY_SOCKET).parent),
        "--perms", "0755", "--dir", "/var", "--symlink", _TEMPORARY, _TEMPORARY_TOO, "--symlink", "/run", "/var/run",
    ]  # fmt: skip


def _binds(binds: Iterable[Bind]) -> list[str]:
    options = []
    for bind in sorted(binds, key=lambda one: one.target.count("/")):
        options += ["--bind" if bind.writable else "--ro-bind", bind.source, bind.target]
    return options


def _environment(env: Mapping[str, str]) -> list[str]:
    own = {"HOME": HOME, "TMPDIR": _TEMPORARY, "PATH": PATH, "LANG": "C.UTF-8", "PWD": WORKSPACE}
    options = []
    for name, value in {**own, **env}.items():
        options += ["--setenv", name, value]
    return options
