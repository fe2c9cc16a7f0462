"""Revisions of the control plane's database."""
