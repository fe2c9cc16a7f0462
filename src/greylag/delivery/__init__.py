"""The story of a task. Stages do not know each other; only ``workflow`` knows their order.

Must never open a connection or start a process: everything outside goes through the ports of a `Cell`.
"""
