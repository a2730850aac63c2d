"""Campaigns, which take minutes to hours: `python -m tests.campaign` runs them and ends with one JSON object."""
