"""Where repositories live. One of the two places that start processes (git, hardened)."""
