"""One task's conversation as a page. What it offers depends on who looks, and is decided again when done."""
