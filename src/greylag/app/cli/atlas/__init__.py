"""``greylag map`` and ``greylag export``."""
