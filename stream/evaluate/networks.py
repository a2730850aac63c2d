"""Which network judges a patient: one that has not seen them, where networks of folds are at hand.

`vigil evaluate diagnosis --cross-validate --work FOLDER` keeps the network of each fold in its folder.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ecg import weights_file
from model.weights import FOLD
from stream.commands.common import fail
from stream.look import Net
from stream.nets import load_nets, read_weights

KEPT = FOLD.format("*")
"""Networks of folds in a folder of work."""


class Networks(NamedTuple):
    """The network by which a patient is judged.

    Attributes
    ----------
    usual : str
        Of patients whom `of_fold` does not name: a file of weights, `shipped`, or `none`.
    of_fold : mapping of str to str
        File by patient, as `<set>/<record>`.
    seen : frozenset of str
        Patients whom the network that judges them was trained on.
    """

    usual: str = "none"
    of_fold: Mapping[str, str] = {}
    seen: frozenset[str] = frozenset()

    def judging(self, patient: str) -> Mapping[str, Net]:
        """Return the network that judges a patient, by its hash, or none."""
        return _loaded(self.of_fold.get(patient, self.usual))


RULES = Networks()
"""No network: the rules alone."""


def networks(which: str) -> Networks:
    """Return networks: `none`, `shipped`, a file of weights, or a folder with those of folds.

    Patients that no fold's network was trained on are judged by the shipped one.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no file of weights, or the folder holds no network of a fold.
    """
    if which == "none":
        return RULES
    if not Path(which).is_dir():
        return Networks(which, {}, _trained(which))
    trained = {str(file): _trained(str(file)) for file in sorted(Path(which).glob(KEPT))}
    if not trained:
        raise ValueError(f"{which}: no {KEPT} in it; `vigil evaluate diagnosis --cross-validate --work` keeps them")
    taught = frozenset[str]().union(*trained.values())
    of_fold = {patient: file for file, seen in trained.items() for patient in taught - seen}
    return Networks("shipped", of_fold, _trained("shipped") - of_fold.keys())


def asked_for(which: str) -> Networks:
    """Return `networks` for a command, which ends with what is wrong where there are none."""
    try:
        return networks(which)
    except (OSError, ValueError) as error:
        fail(str(error), 2)


def _trained(which: str) -> frozenset[str]:
    """Return the patients on whose windows a network was trained."""
    return frozenset(weights_file.made(read_weights(which)).get("monitors", ()))


@functools.cache
def _loaded(which: str) -> dict[str, Net]:
    return load_nets(which)
