"""Nonsense in the log: mutated records through the codec and through the whole pipeline.

`python -m tests.fuzz --codec N --whole N --seed S` ends with one JSON object.
"""
