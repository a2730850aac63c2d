"""Files of small weights: safetensors whose metadata says how they were made, in one entry.

Several entries would have no order of their own, and the same weights are to give the same bytes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import safetensors.numpy
from numpy.typing import NDArray


def pack(tensors: Mapping[str, NDArray[Any]], made: Mapping[str, object]) -> bytes:
    """Return tensors as safetensors; `made` says how: command, seed, split, commit, records."""
    said = msgspec.json.encode(dict(made), order="sorted").decode()
    return safetensors.numpy.save(dict(tensors), {"made": said})


def made(kept: bytes) -> dict[str, Any]:
    """Return how weights were made, as `pack` was told; raises ValueError where it is no such file."""
    try:
        length = int.from_bytes(kept[:8], "little")
        return msgspec.json.decode(msgspec.json.decode(kept[8 : 8 + length])["__metadata__"]["made"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"weights must be safetensors that say how they were made: {error}") from error


def commit() -> str:
    """Return the commit that the running code is of, with `-dirty` where it was changed, or `unknown`."""
    ask = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
