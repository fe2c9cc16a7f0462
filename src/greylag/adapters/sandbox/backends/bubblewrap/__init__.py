"""Bubblewrap backend: namespaces, a system call filter and limits around every program. Must never run without them."""

from greylag.adapters.sandbox.backends.bubblewrap.sandbox import BubblewrapSandbox

__all__ = ["BubblewrapSandbox"]
