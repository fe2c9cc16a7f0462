"""Murmur: a small music-streaming service."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("murmur")
except PackageNotFoundError:  # run from a checkout: only a build has a number
    __version__ = "unbuilt"
