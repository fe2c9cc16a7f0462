"""The machine in which untrusted programs work. One of the two places that start processes."""
