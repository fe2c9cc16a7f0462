"""Where content rests: immutable, content-addressed, encrypted under a key of its region."""
