"""A ward that runs in one thread and in no time: the real worker, publisher, ticker and pipeline, killed at will.

`python -m tests.faults --trials N --seed S` runs seeded trials and ends with one JSON object.
"""
