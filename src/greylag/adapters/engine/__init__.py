"""Durable execution: a workflow that goes on after the process was killed."""
