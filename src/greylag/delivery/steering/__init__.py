"""Steering: what people say about work that is under way, and what is said to them; it must never lose a word."""
