"""Coding agents: programs that change a workspace. They hold no credential and their words are never evidence."""
