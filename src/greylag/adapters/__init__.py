"""The outside world behind ports. Each port is a package: ``port.py``, ``backends/`` and verbs as modules.

Backends do not know each other. A verb that moves bytes takes a `greylag.egress.permit.Permit` and checks it.
"""
