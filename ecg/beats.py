"""Beats of many beds as they come: where each QRS is, and whether it is normal, ventricular or supraventricular.

All ECG leads of a bed vote (`ecg.beat_detect`); a complex is compared with the shapes that the patient has shown
(`ecg.beat_shape`) and named by rules (`ecg.beat_class`). Everything is decided sample by sample from the stream alone:
the beats of a bed are the same, to the bit, whatever the chunks and whatever the batch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg.beat_detect import NO_LOG, detect
from ecg.beat_state import BEAT, MAX_LEADS, TEMPLATES, Rules, first_state, spans
from ecg.beat_weights import in_force
from ecg.rows import Rows

__all__ = ["BEAT", "MAX_DELAY_S", "Beats"]

MAX_DELAY_S = 1.5
"""No beat is confirmed later than this after it happened."""


class Beats:
    """Finds the beats of many beds in their clean leads at 250 Hz, a row a bed.

    Samples may be raw as well: the detector has filters of its own. A lead that is missing (NaN) does not vote until
    0.24 s after it came back. The first 1.6 s with a signal are for learning and give no beats.

    Examples
    --------
    >>> t = np.arange(2500) % 200 / 250
    >>> wave = np.exp(-(((t - 0.4) / 0.02) ** 2)).astype("f4")
    >>> beats = Beats()
    >>> beats.reset(0)
    >>> found = beats.feed(np.array([0]), wave[None, None], np.array([1]), np.array([2500]))[0]
    >>> [int(sample) % 200 for sample in found["sample"]][-2:], chr(found["label"][-1])
    ([100, 100], 'N')
    """

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or Rules(weights=in_force())
        self.rows = Rows(first_state())

    def reset(self, row: int) -> None:
        """Start a bed in a row."""
        self.rows.reset(row)

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], leads: NDArray[np.int64], count: NDArray[np.int64]
    ) -> list[NDArray[np.void]]:
        """Take samples of some beds and return the beats that they confirm.

        Parameters
        ----------
        rows : ndarray of int64, shape (b,)
            Rows of the beds, each at most once.
        x : ndarray of float32, shape (b, max_leads, width)
            Millivolts at 250 Hz, NaN where missing. Only `x[i, :leads[i], :count[i]]` is read; of more than
            `MAX_LEADS` leads the first ones are used.
        leads, count : ndarray of int64, shape (b,)
            Leads of each bed, and samples given of each of them.

        Returns
        -------
        list of ndarray of `BEAT`
            New beats of each bed, in the order in which they were confirmed, which is their order in time.
        """
        most = int(count.max()) // 20 + 2 if len(count) else 0
        found = np.zeros((len(rows), most), BEAT)
        n_found = np.zeros(len(rows), np.int64)
        if most:
            used = np.minimum(leads, MAX_LEADS)
            detect(self.rows.state, rows, x, used, count, self.rules, found, n_found, NO_LOG)
        return [beats[:n].copy() for beats, n in zip(found, n_found, strict=True)]

    def snapshot(self, row: int, leads: int = MAX_LEADS) -> bytes:
        """Return the state of a bed of so many leads as bytes, without the room for others, and for shapes unseen."""
        leads = min(leads, MAX_LEADS)
        seen = sum(1 << k for k, count in enumerate(self.rows.state["template"]["count"][row].tolist()) if count)
        return bytes((leads, seen)) + self.rows.snapshot(row, spans(leads, seen))

    def restore(self, row: int, kept: bytes) -> None:
        """Put back a state that `snapshot` returned; raises ValueError where it is of another layout."""
        if len(kept) < 2 or kept[0] > MAX_LEADS or kept[1] >= 1 << TEMPLATES:
            raise ValueError(f"a bed must begin with its leads and shapes, got {kept[:2]!r}")
        self.rows.restore(row, kept[2:], spans(kept[0], kept[1]))
