"""Where builds run for their users."""
