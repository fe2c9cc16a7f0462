"""The ledger's mathematics: canonical entries, the RFC 6962 tree, proofs, signed checkpoints, verification.

Pure. Must never store, read a key file, or know a database: leaves, keys and checkpoints come in as arguments.
"""
