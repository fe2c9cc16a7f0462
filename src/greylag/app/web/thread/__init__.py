"""The web thread: one task's conversation as a page. What it offers is decided for who looks, and again when it is done."""
