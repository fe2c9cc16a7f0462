"""The one door. Ask policy, write the ledger, then send; nothing else opens a connection.

Must never send without a permit, and never mint a permit whose ledger entry is not durable.
"""
