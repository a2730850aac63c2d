"""What of the clinical logic was learned from records, and from which.

A figure is no headline on a record from whose patient a part that can change it was learned. Learned is what was fitted
or chosen by its score on labelled records; each module says how. `model` lists the records of a network in its weights.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecg.wave_fit import TRAINED_ON, patient

_MITDB = (
    "100 101 102 103 104 106 107 108 109 112 113 114 115 116 118 119 121 122 123 124 201 203 205 207 208 209 212 "
    "214 215 217 219 220 221 223 230 231 233"
)
_SVDB = (
    "800 801 802 803 804 805 806 807 809 810 811 812 820 823 825 828 829 840 841 842 843 844 846 847 849 850 851 "
    "854 855 857 858 861 862 863 865 866 868 869 870 871 872 873 877 878 879 880 884 886 888 890 891 892 893 894"
)
_LTAFDB = "00 03 08 100 104 111 113 12 122 15 17 19 200 206 208 28 32 39 44 49 53 55 62 65 72"

LEARNED: dict[str, dict[str, tuple[str, ...]]] = {
    "wave": {name: records for name, records in TRAINED_ON.items() if name != "nstdb"},
    "beats": {"mitdb": TRAINED_ON["mitdb"], "svdb": tuple(_SVDB.split())},
    "atrial": {"mitdb": tuple(_MITDB.split()), "ltafdb": tuple(_LTAFDB.split())},
}
"""Records by set, by part: the weights of the wave (`ecg.wave`), those of the classes of beats (`ecg.beat_class`), and
the four numbers of the rule for atrial fibrillation (`ecg.atrial`), of `ltafdb` from every second record."""


def patients(part: str) -> frozenset[str]:
    """Return the patients that a part was learned from, as `<set>/<record>`."""
    return frozenset(patient(name, record) for name, records in LEARNED[part].items() for record in records)


_PATIENTS = {part: patients(part) for part in LEARNED}


def has_seen(parts: Iterable[str], whose: str) -> bool:
    """Whether any of these parts was learned from a patient.

    Examples
    --------
    >>> has_seen(["wave"], "vfdb/418"), has_seen(["wave"], "mitdb/100"), has_seen(["wave", "atrial"], "mitdb/100")
    (True, False, True)
    """
    return any(whose in _PATIENTS[part] for part in parts)
