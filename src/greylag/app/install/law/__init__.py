"""The law of an install: its packs, facts and worlds, read from files and kept in them."""
