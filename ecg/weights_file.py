"""Files of small weights: safetensors whose metadata says how they were made, in one entry.

Several entries would have no order of their own, and the same weights are to give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray


def pack(tensors: Mapping[str, NDArray[Any]], made: Mapping[str, object]) -> bytes:
    """Return tensors as safetensors; `made` says how: command, seed, split, commit, records.

    They may lie in memory in any order; safetensors would write that order and forget it.
    """
    said = msgspec.json.encode(dict(made), order="sorted").decode()
    return safetensors.numpy.save({name: np.asarray(each, order="C") for name, each in tensors.items()}, {"made": said})


def made(kept: bytes) -> dict[str, Any]:
    """Return how weights were made, as `pack` was told; raises ValueError where it is no such file."""
    try:
        length = int.from_bytes(kept[:8], "little")
        return msgspec.json.decode(msgspec.json.decode(kept[8 : 8 + length])["__metadata__"]["made"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"weights must be safetensors that say how they were made: {error}") from error
