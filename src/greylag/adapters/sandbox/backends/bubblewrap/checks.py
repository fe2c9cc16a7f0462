"""What a spec may ask for, checked before anything is made."""

import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from greylag.adapters.sandbox.port import HOME, WORKSPACE, Mount, Network, SandboxSpec
from greylag.domain.errors import OperatorError, RequestRefused

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ARGUMENT_BYTES = 131_072  # MAX_ARG_STRLEN of the kernel, execve(2)
_ALL_BYTES = 1024 * 1024
# A mount may neither replace nor hide these, nor lie in what a program wrote or the system brings.
_SEALED = ("/usr", "/proc", "/dev", "/sys", "/etc", "/run", "/bin", "/sbin", "/lib", "/lib32", "/lib64", WORKSPACE)
_KEPT = (*_SEALED, "/tmp", HOME)  # noqa: S108 the folder inside


def check_spec(spec: SandboxSpec) -> None:
    """Raise RequestRefused ``GL-SANDBOX-002`` or OperatorError ``GL-SANDBOX-003`` for what can't be started."""
    if not spec.argv:
        raise _refused("`argv` is empty, expected a program and its arguments")
    _check_text((*spec.argv, *spec.env.values(), str(spec.workspace), *(mount.target for mount in spec.mounts)))
    for name in spec.env:
        if not _VARIABLE.fullmatch(name):
            raise _refused(f"{name!r} in `env` isn't a variable name")
    if (spec.network is Network.GATEWAY) != (spec.gateway is not None):
        raise _refused(f"`network` is {str(spec.network)!r} with `gateway` {spec.gateway!r}; each needs the other")
    if spec.gateway is not None and not spec.gateway.is_socket():
        raise missing(spec.gateway, "a UNIX socket")
    for mount in spec.mounts:
        _check_mount(mount)
    _check_limits(spec)


def missing(path: Path, expected: str) -> OperatorError:
    """Return the error for a path on the host that isn't what a spec says."""
    return OperatorError("GL-SANDBOX-003", f"`{path}` isn't {expected}.", "make it, or correct the setting naming it.")


def _check_text(values: Iterable[str]) -> None:
    total = 0
    for value in values:
        try:
            encoded = os.fsencode(value)
        except UnicodeEncodeError:
            raise _refused(f"{value[:80]!r} can't be encoded") from None
        if b"\0" in encoded:
            raise _refused(f"{value[:80]!r} holds a NUL character")
        if len(encoded) >= _ARGUMENT_BYTES:
            raise _refused(f"a value of {len(encoded)} bytes is over the kernel's limit of {_ARGUMENT_BYTES}")
        total += len(encoded)
    if total > _ALL_BYTES:
        raise _refused(f"arguments and environment have {total} bytes, at most {_ALL_BYTES} can be passed")


def _check_mount(mount: Mount) -> None:
    target = mount.target
    if not target.startswith("/") or target.startswith("//") or posixpath.normpath(target) != target or target == "/":
        raise _refused(f"the mount target {target!r} isn't a plain absolute path")
    inside = next((sealed for sealed in _SEALED if target == sealed or target.startswith(f"{sealed}/")), None)
    covers = next((kept for kept in _KEPT if kept == target or kept.startswith(f"{target}/")), None)
    if inside or covers:
        raise _refused(f"the mount target {target!r} would change {inside or covers!r}")
    if not (mount.source.is_dir() or mount.source.is_file() or mount.source.is_socket()):
        raise missing(mount.source, "a folder, file or socket that can be mounted")


def _check_limits(spec: SandboxSpec) -> None:
    limits = spec.limits
    values = {
        "memory_mb": limits.memory_mb, "processes": limits.processes, "open_files": limits.open_files,
        "file_size_mb": limits.file_size_mb, "disk_mb": limits.disk_mb, "disk_files": limits.disk_files,
        "timeout_seconds": limits.timeout_seconds, "output_bytes": limits.output_bytes,
    }  # fmt: skip
    for name, value in values.items():
        if not 0 < value < 2**40:
            raise _refused(f"the limit `{name}` is {value!r}, expected more than 0 and less than 2^40")


def _refused(why: str) -> RequestRefused:
    return RequestRefused("GL-SANDBOX-002", f"the program can't be started: {why}.", "correct the command or setting.")
