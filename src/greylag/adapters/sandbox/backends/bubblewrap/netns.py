"""A listening socket inside a sandbox's network name space, made from outside.

Nothing that listens runs inside, so nothing there can be killed or replaced. Source: setns(2), ioctl_ns(2).
"""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys

from greylag.domain.errors import BackendError

_SECONDS = 10.0
_BACKLOG = 64

# Runs in a process of its own: joining a user name space needs a single thread. It gets the name space's descriptor
# and a socket to answer on; the loopback address appears a moment after the name space.
_HELPER = """
import ctypes, errno, fcntl, os, socket, sys, time
network, answer, port, backlog = (int(word) for word in sys.argv[1:5])
owner = fcntl.ioctl(network, 0xB701)
libc = ctypes.CDLL(None, use_errno=True)
for space, kind in ((owner, 0x10000000), (network, 0x40000000)):
    if libc.setns(space, kind) != 0:
        raise OSError(ctypes.get_errno(), "setns")
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
until = time.monotonic() + 5
while True:
    try:
        listener.bind(("127.0.0.1", port))
        break
    except OSError as error:
        if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > until:
            raise
        time.sleep(0.001)
listener.listen(backlog)
socket.send_fds(socket.socket(fileno=answer), [b"ok"], [listener.fileno()])
"""


async def listen_inside(child: int, port: int) -> socket.socket:
    """Return a socket listening on 127.0.0.1:``port`` in the network name space of process ``child``.

    Raises BackendError ``GL-SANDBOX-007`` where it can't be had; the sandbox must not run then.
    """
    listening = asyncio.ensure_future(asyncio.to_thread(_listen_inside, child, port))
    try:
        return await asyncio.shield(listening)
    except asyncio.CancelledError:
        listening.add_done_callback(_close)
        raise


def _close(listening: "asyncio.Future[socket.socket]") -> None:
    """Close what came after nobody waited for it any more."""
    if not listening.cancelled() and listening.exception() is None:
        listening.result().close()


def _listen_inside(child: int, port: int) -> socket.socket:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        try:
            network = os.open(f"/proc/{child}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _failed(str(error)) from error
        try:
            ended = _run_helper(network, theirs.fileno(), port)
        finally:
            os.close(network)
        ours.settimeout(0.1)
        with contextlib.suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
            if descriptors:
                listener = socket.socket(fileno=descriptors[0])
                listener.setblocking(False)
                return listener
    raise _failed(ended.stderr[-500:].decode(errors="replace").strip() or f"exit code {ended.returncode}")


def _run_helper(network: int, answer: int, port: int) -> subprocess.CompletedProcess[bytes]:
    words = [str(number) for number in (network, answer, port, _BACKLOG)]
    try:
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", _HELPER, *words], pass_fds=(network, answer), env={}, cwd="/",
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failed(str(error)) from error


def _failed(why: str) -> BackendError:
    return BackendError(
        "GL-SANDBOX-007",
        f"no listener could be made in the sandbox's network name space: {why}.",
        "run `greylag doctor`; the program was not started.",
        transient=True,
    )
