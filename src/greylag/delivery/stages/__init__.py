"""One module a stage. Each takes a `Cell` and a task id, can be run again at any point, and answers in one word.

Stages never import each other.
"""
