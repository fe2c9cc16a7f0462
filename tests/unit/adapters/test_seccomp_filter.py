"""The system call filter, run by a small interpreter of classic BPF."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greylag.adapters.sandbox.backends.bubblewrap.seccomp import (
    ABSENT,
    ALLOW,
    AUDIT_ARCH_X86_64,
    FORBIDDEN,
    HIGHEST_KNOWN,
    KILL,
    filter_program,
)
from greylag.domain.errors import OperatorError

PROGRAM = [
    struct.unpack_from("=HBBI", filter_program("x86_64"), at) for at in range(0, len(filter_program("x86_64")), 8)
]
REFUSE, NO_CALL, NO_FAMILY = (0x50000 | number for number in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT))
SPECIAL = {16, 29, 41, 53, 56, 90, 91, 268, 452}
WORDS = st.integers(0, 2**64 - 1)


def judged(number, *arguments, arch=AUDIT_ARCH_X86_64):
    data = struct.pack("<IIQ6Q", number, arch, 0, *(*arguments, *(0,) * (6 - len(arguments))))
    accumulator, place = 0, 0
    while True:
        code, then, otherwise, value = PROGRAM[place]
        place += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return value
        else:
            taken = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
            place += then if taken else otherwise


@pytest.mark.parametrize(("name", "number"), FORBIDDEN.items())
def test_forbidden_calls_are_refused(name, number):
    assert judged(number) == REFUSE, name


@pytest.mark.parametrize(("name", "number"), ABSENT.items())
def test_absent_calls_do_not_exist(name, number):
    assert judged(number) == NO_CALL, name


@given(st.integers(HIGHEST_KNOWN + 1, 0x3FFFFFFF), WORDS)
def test_calls_nobody_reviewed_do_not_exist(number, argument):
    assert judged(number, argument) == NO_CALL


@given(st.integers(0x40000000, 0xFFFFFFFF))
def test_the_x32_numbers_kill(number):
    assert judged(number) == KILL


@given(st.integers(0, 500), st.integers(0, 2**32 - 1).filter(lambda arch: arch != AUDIT_ARCH_X86_64))
def test_another_architecture_kills(number, arch):
    assert judged(number, arch=arch) == KILL


@given(st.integers(0, HIGHEST_KNOWN), WORDS)
def test_every_other_call_is_allowed_whatever_its_arguments(number, argument):
    if number not in SPECIAL and number not in FORBIDDEN.values() and number not in ABSENT.values():
        assert judged(number, argument, argument, argument) == ALLOW


@given(st.integers(0, 2**32 - 1))
def test_terminal_input_is_refused_whatever_the_high_bits_say(high):
    assert judged(16, 1, high << 32 | 0x5412) == REFUSE
    assert judged(16, 1, high << 32 | 0x541C) == REFUSE
    assert judged(16, 1, high << 32 | 0x5401) == ALLOW


@given(st.integers(0, 2**32 - 1))
def test_clone_makes_no_name_space(flags):
    new = any(flags & bit for bit in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000))
    assert judged(56, flags) == (REFUSE if new else ALLOW)


@pytest.mark.parametrize(
    ("family", "kind", "protocol", "expected"),
    [
        (1, 1, 0, ALLOW), (1, 5, 0, ALLOW), (2, 1, 0, ALLOW), (2, 2 | 0x80000, 0, ALLOW), (10, 1 | 0x800, 6, ALLOW),
        (16, 3 | 0x80000, 0, ALLOW), (16, 3, 12, NO_FAMILY), (2, 3, 1, REFUSE), (10, 3, 58, REFUSE), (2, 10, 0, REFUSE),
        (17, 3, 0, NO_FAMILY), (38, 5, 0, NO_FAMILY), (40, 1, 0, NO_FAMILY), (44, 3, 0, NO_FAMILY),
        (0, 1, 0, NO_FAMILY),
    ],
)  # fmt: skip
def test_sockets(family, kind, protocol, expected):
    assert judged(41, family, kind, protocol) == expected


@pytest.mark.parametrize(("number", "at"), [(90, 1), (91, 1), (268, 2), (452, 2)])
@given(mode=st.integers(0, 0o7777))
def test_no_mode_sets_an_identity(number, at, mode):
    arguments = [0] * at + [mode]
    assert judged(number, *arguments) == (REFUSE if mode & 0o6000 else ALLOW)


@pytest.mark.parametrize(("size", "expected"), [(56, ALLOW), (65536, ALLOW), (65537, REFUSE), (1 << 32, REFUSE)])
def test_shared_segments_stay_small(size, expected):
    assert judged(29, 0, size) == expected


def test_every_jump_stays_inside_the_program():
    for place, (code, then, otherwise, _) in enumerate(PROGRAM):
        if code in (0x15, 0x35, 0x45):
            assert max(place + 1 + then, place + 1 + otherwise) < len(PROGRAM)
    assert PROGRAM[-1][0] == 0x06


@pytest.mark.parametrize("machine", ["aarch64", "i686", ""])
def test_a_machine_without_a_reviewed_table_is_refused(machine):
    with pytest.raises(OperatorError) as caught:
        filter_program(machine)
    assert caught.value.code == "GL-SANDBOX-001"
