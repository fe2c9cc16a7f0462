"""Backends of this port; they do not know each other."""
