"""The main job shown end to end on this machine. Plays the people's part over the API; takes no short cut inside."""
