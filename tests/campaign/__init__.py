"""Campaigns: what takes minutes to hours to try. `python -m tests.campaign` runs them, and ends with one JSON object."""
