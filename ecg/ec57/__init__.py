"""Scores of beats, runs, episodes and measurements against reference annotations, after ANSI/AAMI EC57.

The rules are those of the field's public reference tools (`bxb`, `rxr`, `epicmp`, `mxm`, `nst`, `sumstats` of the WFDB
software), whose numbers are reproduced to the last digit, their doubtful rules with them; where such a rule is not what
the standard means, the sound one is an option beside it, named where it differs.
"""

from ecg.ec57.beats import Score, compare, score
from ecg.ec57.table import Counts, Table, total
from ecg.ec57.walk import match

__all__ = ["Counts", "Score", "Table", "compare", "match", "score", "total"]
