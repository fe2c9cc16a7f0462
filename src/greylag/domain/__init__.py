"""The words everybody shares: ids, tasks, events, states, errors. Pure, standard library only.

Must never do I/O, read a clock, draw randomness or look at the environment: time and entropy come in as arguments.
"""
