"""Folders that agents work in: made from a commit, and read back by the one reader that trusts nothing in them."""
