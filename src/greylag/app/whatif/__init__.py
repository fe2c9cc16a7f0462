"""What-if on an install: drills from files, decisions from its ledger, worlds from its archive.

Reads only; nothing it finds out reaches the running platform.
"""
