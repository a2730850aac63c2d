"""The public sets of records that Vigil is scored on: what they are, where PhysioNet has them, how they lie here.

A set's files are chosen by their names out of the list of checksums that PhysioNet keeps beside each set, so that
nothing is guessed of how a set is cut into folders there.
"""

from __future__ import annotations

from typing import NamedTuple

PHYSIONET = "https://physionet.org/files/"
"""Where PhysioNet's files lie, as `wfdb` has it; a mirror of the same layout does as well."""
ODC_BY = "ODC-By 1.0"
PHYSIONET_CITATION = "Goldberger et al., PhysioBank, PhysioToolkit and PhysioNet, Circulation 101(23), 2000"
"""Cited with each set of these."""


class RecordSet(NamedTuple):
    """A public set.

    Attributes
    ----------
    name : str
        Its folder here.
    title : str
    project : str
        Its folder on PhysioNet, with the version.
    records : int
        How many it has.
    size_mb : int
        What `files` take, about: reckoned from the lengths and the formats of the records.
    citation : str
    files : tuple of (str, str)
        Patterns of the files that are wanted, matched against the whole path under `project`, each with the path under
        the set's folder here, as `re.Match.expand` takes it.
    licence : str
    """

    name: str
    title: str
    project: str
    records: int
    size_mb: int
    citation: str
    files: tuple[tuple[str, str], ...]
    licence: str = ODC_BY


_SAME = r"\g<0>"

SETS: dict[str, RecordSet] = {
    one.name: one
    for one in (
        RecordSet(
            "mitdb",
            "MIT-BIH Arrhythmia Database 1.0.0",
            "mitdb/1.0.0",
            48,
            95,
            "Moody and Mark, IEEE Eng. Med. Biol. 20(3), 2001",
            ((r"\d{3}\.(hea|dat|atr)", _SAME),),
        ),
        RecordSet(
            "svdb",
            "MIT-BIH Supraventricular Arrhythmia Database 1.0.0",
            "svdb/1.0.0",
            78,
            55,
            "Greenwald, Ph.D. thesis, MIT, 1990",
            ((r"\d{3}\.(hea|dat|atr)", _SAME),),
        ),
        RecordSet(
            "vfdb",
            "MIT-BIH Malignant Ventricular Ectopy Database 1.0.0",
            "vfdb/1.0.0",
            22,
            35,
            "Greenwald, M.S. thesis, MIT, 1986",
            ((r"\d{3}\.(hea|dat|atr)", _SAME),),
        ),
        RecordSet(
            "cudb",
            "Creighton University Ventricular Tachyarrhythmia Database 1.0.0",
            "cudb/1.0.0",
            35,
            7,
            "Nolle et al., Computers in Cardiology 1986",
            ((r"cu\d\d\.(hea|dat|atr)", _SAME),),
        ),
        RecordSet(
            "cinc2015",
            "PhysioNet/CinC Challenge 2015, false alarms of intensive care, training set 1.0.0",
            "challenge-2015/1.0.0",
            750,
            390,
            "Clifford et al., Computing in Cardiology 2015",
            ((r"training/(?:.*/)?([abftv]\d+[ls]\.(?:hea|mat))", r"\1"), (r"(?:training/)?ALARMS", "ALARMS")),
        ),
        RecordSet(
            "cinc2017",
            "PhysioNet/CinC Challenge 2017, one hand-held lead, training set 1.0.0",
            "challenge-2017/1.0.0",
            8528,
            170,
            "Clifford et al., Computing in Cardiology 2017",
            ((r"training/(?:.*/)?(A\d{5}\.(?:hea|mat))", r"\1"), (r"REFERENCE-v3\.csv", "REFERENCE.csv")),
        ),
        RecordSet(
            "cinc2011",
            "PhysioNet/CinC Challenge 2011, twelve leads by phone, set A 1.0.0",
            "challenge-2011/1.0.0",
            1000,
            120,
            "Silva, Moody and Celi, Computing in Cardiology 2011",
            ((r"set-a/(\d+\.(?:hea|dat))", r"\1"), (r"set-a/(RECORDS-(?:un)?acceptable)", r"\1")),
        ),
        RecordSet(
            "ltafdb",
            "Long-Term AF Database 1.0.0, annotations alone",
            "ltafdb/1.0.0",
            84,
            20,
            "Petrutiu, Sahakian and Swiryn, Europace 9(7), 2007",
            ((r"\d+\.(hea|atr)", _SAME),),
        ),
        RecordSet(
            "ludb",
            "Lobachevsky University ECG Database 1.0.1",
            "ludb/1.0.1",
            200,
            30,
            "Kalyakulina et al., IEEE Access 8, 2020",
            ((r"data/\d+\.(hea|dat|i|ii|iii|av[rlf]|v[1-6])", _SAME), (r"ludb\.csv", _SAME)),
        ),
        RecordSet(
            "qtdb",
            "QT Database 1.0.0",
            "qtdb/1.0.0",
            105,
            75,
            "Laguna et al., Computers in Cardiology 1997",
            ((r"sel\w+\.(hea|dat|atr|man|pu|pu0|pu1|q1c|q2c|qt1|qt2)", _SAME),),
        ),
        RecordSet(
            "ptbxl",
            "PTB-XL 1.0.3, at 500 Hz",
            "ptb-xl/1.0.3",
            21_799,
            2_640,
            "Wagner et al., Scientific Data 7, 2020",
            ((r"records500/\d+/\d+_hr\.(hea|dat)", _SAME), (r"(ptbxl_database|scp_statements)\.csv", _SAME)),
            "CC-BY 4.0",
        ),
        RecordSet(
            "nstdb",
            "MIT-BIH Noise Stress Test Database 1.0.0",
            "nstdb/1.0.0",
            15,
            30,
            "Moody, Muldrow and Mark, Computers in Cardiology 1984",
            ((r"(bw|em|ma|11[89]e(\d\d|_6))\.(hea|dat|atr)", _SAME),),
        ),
    )
}
"""The sets, by the name of their folder."""
