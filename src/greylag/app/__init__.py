"""How people and programs come in: command line, API, pages, settings, and the one place that wires.

Must never hold a rule of its own: it checks shapes, names the person, and calls ``delivery``.
"""
