"""Windows that are alike but for a part, as those of an occlusion are: a chunk that several share is encoded once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.frontend import cut
from model.weights import Encoded, Network, windows_of


def encoded(network: Network, span_mv: NDArray[np.float32], leads: Sequence[str]) -> list[list[Encoded]]:
    """Encode windows for `Network.answer` and `Network.features`: the same bits as each alone, with less work.

    Parameters
    ----------
    network : Network
    span_mv : ndarray of float32, shape (n, leads, 2700)
        Clean signal at 250 Hz, NaN where missing.
    leads : sequence of str
        Name of each lead.
    """
    cuts = cut(span_mv).swapaxes(1, 2)  # (window, chunk, lead, 700)
    chunks = list(cuts.reshape(-1, *cuts.shape[2:]))
    keys = [chunk.tobytes() for chunk in chunks]
    unlike = dict(zip(keys, chunks, strict=True))
    found = dict(zip(unlike, network.encode(list(unlike.values()), [leads] * len(unlike)), strict=True))
    return windows_of([found[key] for key in keys])
