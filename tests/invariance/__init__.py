"""The same recordings cut otherwise give the same alerts, and a log replayed gives the same bytes.

`python -m tests.invariance [--short|--full]` prints one table, and ends with one JSON object.
"""
