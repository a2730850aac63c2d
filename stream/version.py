"""Which code decides, and on which kind of machine: alerts, snapshots, checkpoints and seals name it.

The same log gives the same bytes under the same code; a replay of an old stretch therefore has to know the code.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

DECIDES = (
    "anew",
    "batch",
    "bed",
    "bed_alert",
    "bed_state",
    "bed_technical",
    "intake",
    "look",
    "partition",
    "pipeline",
    "placement",
    "seal",
    "signing",
    "snapshot",
    "version",
)
"""Modules of this package that can change an alert, beside all of `ecg` and `model`."""
_INSTRUCTIONS = ("AVX512F", "AVX2", "AVX", "SSE42", "ASIMD")


def sources() -> list[Path]:
    """Return the files that decide: text, and the weights beside it, sorted by package and name."""
    here, kinds = Path(__file__).parent, (("ecg", "*.py"), ("ecg", "*.safetensors"), ("model", "*.py"))
    found = [path for package, kind in kinds for path in sorted((here.parent / package).glob(kind))]
    return [*found, *(here / f"{name}.py" for name in DECIDES)]


def code_version() -> str:
    """Return the release, and behind a plus the first 10 digits of the sha256 of the files that decide."""
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.parent.name}/{path.name}\n".encode() + path.read_bytes())
    return f"{version('vigil-ecg')}+{digest.hexdigest()[:10]}"


def machine() -> str:
    """Return the processor's kind and its widest vector instructions, by which sums of floats may differ."""
    features = np._core._multiarray_umath.__cpu_features__  # pyright: ignore[reportAttributeAccessIssue]
    widest = next((name for name in _INSTRUCTIONS if features.get(name)), "scalar")
    return f"{platform.machine()} {widest.lower()}"


VERSION = code_version()
MACHINE = machine()
