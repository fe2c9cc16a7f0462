"""Whether this machine isolates: a program is run and must see itself locked in; and what to do where it doesn't."""

import os
from pathlib import Path

from greylag.adapters.sandbox.port import Ended, EndReason, Limits, Probe, SandboxSpec
from greylag.domain.errors import OperatorError

_LIMITS = Limits(memory_mb=256, processes=16, timeout_seconds=20, output_bytes=65_536)
_SCRIPT = "cat /proc/self/status; echo; cat /proc/net/dev; echo; echo /proc/[0-9]*; grep ' / ' /proc/self/mountinfo"
# Uid 1000 alone, no capability left to gain, no way to gain one, and the filter in force.
_EXPECTED = (
    "Uid:\t1000\t1000\t1000\t1000", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000",
    "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2",
)  # fmt: skip
_MOST_PROCESSES = 8

_PROFILE = """put this into /etc/apparmor.d/greylag-bwrap and run `apparmor_parser -r /etc/apparmor.d/greylag-bwrap`:
abi <abi/4.0>,
profile greylag-bwrap {program} flags=(unconfined) {{
  userns,
}}"""


def self_test(folder: Path) -> SandboxSpec:
    """Return the program that shows what it sees of itself."""
    return SandboxSpec(("/bin/sh", "-c", _SCRIPT), folder, limits=_LIMITS)


def judge(ended: Ended, program: Path | None) -> Probe:
    """Return whether what the self-test saw is isolation."""
    text = ended.stdout.decode(errors="replace")
    status, _, rest = text.partition("\n\n")
    lines = status.splitlines()
    absent = [line for line in _EXPECTED if line not in lines]
    devices, _, processes = rest.partition("\n\n")
    if ended.reason is not EndReason.EXITED or not status:
        said = ended.stderr[-300:].decode(errors="replace")
        return unready(f"the self-test ended as {ended.reason}, exit code {ended.exit_code}: {said}", program)
    others = [line.split(":")[0].strip() for line in devices.splitlines()[2:]]
    if others != ["lo"]:
        absent.append(f"only `lo`, saw {others}")
    if processes.splitlines()[0].count("/proc/") > _MOST_PROCESSES:
        absent.append("its own process list")
    if absent:
        return unready(f"the self-test did not find: {', '.join(absent)}", program)
    return Probe(True, f"bubblewrap at `{program}`, name spaces and system call filter in force")


def unready(why: str, program: Path | None) -> Probe:
    """Return a negative probe with the remedy that fits this machine."""
    return Probe(False, why, _remedy(program))


def isolation_missing(probe: Probe) -> OperatorError:
    """Return the error that keeps programs from running without isolation."""
    return OperatorError("GL-SANDBOX-001", f"programs can't be isolated here: {probe.detail}.", probe.remedy)


def _remedy(program: Path | None) -> str:
    if _setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return f"AppArmor forbids user name spaces: as root, {_PROFILE.format(program=program)}"
    if _setting("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "as root: `sysctl -w kernel.unprivileged_userns_clone=1` (and keep it in /etc/sysctl.d)."
    if _setting("/proc/sys/user/max_user_namespaces") == "0":
        return "as root: `sysctl -w user.max_user_namespaces=15000` (and keep it in /etc/sysctl.d)."
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        return (
            "this is a container: allow name spaces in it (`--security-opt seccomp=unconfined --security-opt"
            " apparmor=unconfined --security-opt systempaths=unconfined`), or run Greylag on the host."
        )
    return "allow unprivileged user name spaces to the user who runs Greylag, then run `greylag doctor`."


def _setting(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
