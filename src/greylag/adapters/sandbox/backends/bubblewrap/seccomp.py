"""The system call filter, assembled as classic BPF without any library.

Sources: seccomp(2), the kernel's ``include/uapi/linux/{filter,seccomp,audit}.h`` and its x86-64 system call table.
What is not named here is allowed up to `HIGHEST_KNOWN`, the last call reviewed; anything newer does not exist inside.
"""

import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from greylag.domain.errors import OperatorError

HIGHEST_KNOWN = 462  # mseal, Linux 6.10
AUDIT_ARCH_X86_64 = 0xC000003E
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_GREATER_EQUAL, _JUMP_ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4
ALLOW, KILL = 0x7FFF0000, 0x80000000
_ERRNO = 0x00050000

# Calls that reach other processes, the kernel's configuration, other name spaces, or rarely reviewed kernel code.
FORBIDDEN = {
    "ptrace": 101, "syslog": 103, "personality": 135, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153,
    "modify_ldt": 154, "pivot_root": 155, "_sysctl": 156, "adjtimex": 159, "chroot": 161, "acct": 163,
    "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
    "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180,
    "sched_setaffinity": 203, "lookup_dcookie": 212, "clock_settime": 227, "mbind": 237, "set_mempolicy": 238,
    "get_mempolicy": 239, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
    "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298, "fanotify_init": 300,
    "fanotify_mark": 301, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320,
    "bpf": 321, "userfaultfd": 323, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431,
    "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442,
    "quotactl_fd": 443, "memfd_secret": 447, "process_mrelease": 448, "set_mempolicy_home_node": 450,
    "statmount": 457, "listmount": 458,
}  # fmt: skip

# Programs ask for these and fall back when told that the kernel is too old. `clone3` hides its flags behind a
# pointer; `memfd_create` makes memory that no limit counts once it isn't mapped.
ABSENT = {
    "memfd_create": 319, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "clone3": 435,
}  # fmt: skip

_IOCTL, _SOCKET, _SOCKETPAIR, _CLONE, _SHMGET = 16, 41, 53, 56, 29
_CHMODS = {90: 1, 91: 1, 268: 2, 452: 2}  # chmod, fchmod, fchmodat, fchmodat2 and where their mode is
_SET_ID_BITS = 0o6000
_TERMINAL_IOCTLS = (0x5412, 0x541C, 0x541D, 0x5423)  # TIOCSTI, TIOCLINUX, TIOCCONS, TIOCSETD
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_TYPE_MASK, _SOCK_STREAM, _SOCK_DGRAM = 0xF, 1, 2
_SHARED_SEGMENT_BYTES = 65_536  # System V segments live on detached, where no limit counts them


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction; ``then`` and ``otherwise`` are labels to jump to, empty for the next instruction."""

    code: int
    value: int
    then: str = ""
    otherwise: str = ""
    label: str = ""


def filter_program(machine: str) -> bytes:
    """Return the filter for ``machine`` (as `os.uname` names it) as ``struct sock_filter`` entries.

    Raises OperatorError ``GL-SANDBOX-001`` for a machine whose system calls were not reviewed.
    """
    if machine != "x86_64":
        raise OperatorError(
            "GL-SANDBOX-001",
            f"the system call filter is written for x86_64 only, this machine is {machine!r}.",
            "run Greylag's runner on an x86-64 host; without the filter nothing is started.",
        )
    return _assemble(_steps())


def _steps() -> list[_Step]:
    steps = [
        _Step(_LOAD, _ARCH_AT),
        _Step(_JUMP_EQUAL, AUDIT_ARCH_X86_64, otherwise="kill"),
        _Step(_LOAD, _NUMBER_AT),
        _Step(_JUMP_GREATER_EQUAL, _X32_BIT, then="kill"),
        _Step(_JUMP_GREATER_EQUAL, HIGHEST_KNOWN + 1, then="absent"),
    ]
    for number, section in (
        (_IOCTL, "ioctl"), (_SOCKET, "socket"), (_SOCKETPAIR, "socketpair"), (_CLONE, "clone"), (_SHMGET, "shmget"),
    ):  # fmt: skip
        steps.append(_Step(_JUMP_EQUAL, number, then=section))
    steps += [_Step(_JUMP_EQUAL, number, then=f"mode{at}") for number, at in _CHMODS.items()]
    steps += [_Step(_JUMP_EQUAL, number, then="refuse") for number in FORBIDDEN.values()]
    steps += [_Step(_JUMP_EQUAL, number, then="absent") for number in ABSENT.values()]
    steps.append(_Step(_RETURN, ALLOW))
    steps += _argument_checks()
    steps += [
        _Step(_RETURN, ALLOW, label="allow"),
        _Step(_RETURN, _ERRNO | errno.EPERM, label="refuse"),
        _Step(_RETURN, _ERRNO | errno.ENOSYS, label="absent"),
        _Step(_RETURN, _ERRNO | errno.EAFNOSUPPORT, label="no_family"),
        _Step(_RETURN, KILL, label="kill"),
    ]
    return steps


def _argument_checks() -> list[_Step]:
    """The calls that are decided by an argument; the kernel uses only the low 32 bits of each, so do these."""
    steps = [_Step(_LOAD, _argument(1), label="ioctl")]
    steps += [_Step(_JUMP_EQUAL, request, then="refuse") for request in _TERMINAL_IOCTLS]
    steps += [
        _Step(_RETURN, ALLOW),
        _Step(_LOAD, _argument(0), label="clone"),
        _Step(_JUMP_ANY_BIT, _NEW_NAMESPACES, then="refuse", otherwise="allow"),
        _Step(_LOAD, _argument(1) + 4, label="shmget"),
        _Step(_JUMP_EQUAL, 0, otherwise="refuse"),
        _Step(_LOAD, _argument(1)),
        _Step(_JUMP_GREATER_EQUAL, _SHARED_SEGMENT_BYTES + 1, then="refuse", otherwise="allow"),
        _Step(_LOAD, _argument(1), label="mode1"),
        _Step(_JUMP_ANY_BIT, _SET_ID_BITS, then="refuse", otherwise="allow"),
        _Step(_LOAD, _argument(2), label="mode2"),
        _Step(_JUMP_ANY_BIT, _SET_ID_BITS, then="refuse", otherwise="allow"),
        _Step(_LOAD, _argument(0), label="socketpair"),
        _Step(_JUMP_EQUAL, _AF_UNIX, then="allow", otherwise="no_family"),
        _Step(_LOAD, _argument(0), label="socket"),
        _Step(_JUMP_EQUAL, _AF_UNIX, then="allow"),
        _Step(_JUMP_EQUAL, _AF_NETLINK, then="netlink"),
        _Step(_JUMP_EQUAL, _AF_INET, then="internet"),
        _Step(_JUMP_EQUAL, _AF_INET6, then="internet", otherwise="no_family"),
        _Step(_LOAD, _argument(1), label="internet"),
        _Step(_AND, _SOCK_TYPE_MASK),
        _Step(_JUMP_EQUAL, _SOCK_STREAM, then="allow"),
        _Step(_JUMP_EQUAL, _SOCK_DGRAM, then="allow", otherwise="refuse"),
        # Only routing (0): that is what name look-ups and interface lists ask.
        _Step(_LOAD, _argument(2), label="netlink"),
        _Step(_JUMP_EQUAL, 0, then="allow", otherwise="no_family"),
    ]
    return steps


def _argument(index: int) -> int:
    """Where the low half of a call's argument stands in ``struct seccomp_data`` on a little-endian machine."""
    return 16 + 8 * index


def _assemble(steps: Sequence[_Step]) -> bytes:
    places = {step.label: place for place, step in enumerate(steps) if step.label}
    program = bytearray()
    for place, step in enumerate(steps):
        then, otherwise = (_offset(places, label, place) for label in (step.then, step.otherwise))
        program += struct.pack("=HBBI", step.code, then, otherwise, step.value)
    return bytes(program)


def _offset(places: dict[str, int], label: str, place: int) -> int:
    """Return how many instructions to skip; `struct.pack` refuses more than classic BPF's 255."""
    return places[label] - place - 1 if label else 0
