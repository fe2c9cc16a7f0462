"""How the tables came to be, one revision a step. A released revision is never edited."""
