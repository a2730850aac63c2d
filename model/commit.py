"""The commit that weights were made by, for their metadata."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str:
    """Return the commit that the running code is of, with `-dirty` where it was changed, or `unknown`."""
    ask = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
