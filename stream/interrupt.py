"""Ctrl-C while modules are imported: importing this one ends the process at once on it, until `catch` is called.

A traceback out of the middle of somebody's import says nothing to whoever pressed the keys.
"""

from __future__ import annotations

import signal
from contextlib import suppress

with suppress(ValueError):  # not the main thread: none of our business
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def catch() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again."""
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.default_int_handler)
