"""A folder in the cache for one run of our own services: data go with the run, or with the next one; logs stay.

A run holds a lock on its folder's file `owner`, which the system takes back however the run ends.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

RUNS_KEPT = 5
DATA = ("kafka", "redis")


class RunFolder:
    """The folder of one run, for as long as a `with` block lasts, which it gives.

    Parameters
    ----------
    cache : Path
        Folder of the cache; runs lie in `services` under it, the logs of the last five of them.
    """

    def __init__(self, cache: Path) -> None:
        self._runs = cache / "services"
        self._owner: IO[str] | None = None
        self._folder = self._runs

    def __enter__(self) -> Path:
        """Make the folder, and throw away what runs left behind whose process is gone."""
        self._runs.mkdir(parents=True, exist_ok=True)
        with (self._runs / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._prune()
            self._folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-"), dir=self._runs))
            self._owner = (self._folder / "owner").open("w")
            fcntl.flock(self._owner, fcntl.LOCK_EX)
        return self._folder

    def __exit__(self, *_: object) -> None:
        """Throw the data away and keep the logs."""
        _drop_data(self._folder)
        if self._owner is not None:
            self._owner.close()

    def _prune(self) -> None:
        """Throw away the data of runs whose process is gone, and all of them but the last five."""
        gone = [folder for folder in sorted(self._runs.iterdir()) if folder.is_dir() and not _is_owned(folder)]
        for folder in gone:
            _drop_data(folder)
        for folder in gone[: -(RUNS_KEPT - 1)]:
            shutil.rmtree(folder, ignore_errors=True)


def _is_owned(folder: Path) -> bool:
    with suppress(FileNotFoundError), (folder / "owner").open("r+") as owner:
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _drop_data(folder: Path) -> None:
    for name in DATA:
        shutil.rmtree(folder / name, ignore_errors=True)
