"""The law: labels, facts, policy decisions, the ledger's tree and proofs, evidence statements.

Pure: must never do I/O, read a clock, draw randomness or look at the environment. Texts, times and keys come in as
arguments.
"""
