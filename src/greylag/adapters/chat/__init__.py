"""Where people talk to the platform."""
