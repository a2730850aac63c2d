"""The records of a set, each through the same function, on two processes; one that fails is named and counted."""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

PROCESSES = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What a set gave.

    Attributes
    ----------
    results : dict of str to T
        What the function returned for each record, in the order that was asked.
    failed : dict of str to str
        Why a record could not be scored.
    """

    results: dict[str, T]
    failed: dict[str, str]


def records(data: Path) -> list[Path]:
    """Return the records of a folder, without extension: those that have a header, or are in its list `RECORDS`."""
    names = {header.stem for header in data.glob("*.hea")}
    listed = data / "RECORDS"
    if listed.is_file():
        names |= {line.strip() for line in listed.read_text().splitlines() if line.strip()}
    return [data / name for name in sorted(names)]


def over(paths: list[Path], function: Callable[[Path], T], processes: int | None = None) -> Outcome[T]:
    """Call a function for each record, and say on stderr how far it is.

    Parameters
    ----------
    paths : list of Path
        Records, without extension.
    function : callable
        Takes a record; must be one that another process can import. Whatever it raises is that record's failure.
    processes : int, optional
        `PROCESSES` without it; 1 runs it in this process.
    """
    results: dict[str, T] = {}
    failed: dict[str, str] = {}
    for path, result, reason in _results(paths, function, min(processes or PROCESSES, len(paths))):
        if reason is None and result is not None:
            results[path.name] = result
        else:
            failed[path.name] = reason or "no result"
        bad = f", {len(failed)} not scored" if failed else ""
        print(f"\r{len(results) + len(failed)} of {len(paths)} records{bad}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    order = [path.name for path in paths]
    return Outcome(
        {name: results[name] for name in order if name in results},
        {name: failed[name] for name in order if name in failed},
    )


def _results(
    paths: list[Path], function: Callable[[Path], T], processes: int
) -> Iterator[tuple[Path, T | None, str | None]]:
    if processes <= 1:
        for path in paths:
            result, reason = _safe(function, path)
            yield path, result, reason
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        waiting = {pool.submit(_safe, function, path): path for path in paths}
        for done in as_completed(waiting):
            error = done.exception()
            result, reason = (None, _reason(error)) if error is not None else done.result()
            yield waiting[done], result, reason


def _safe(function: Callable[[Path], T], path: Path) -> tuple[T | None, str | None]:
    try:
        return function(path), None
    except Exception as error:  # a record's files may be broken in any way, and wfdb raises what its parsers raise
        return None, _reason(error)


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


PATIENTS = {"202": "201"}
"""Records of a patient who has another one in the same set."""


def patient(record: str) -> str:
    """Return the patient of a record: 202 of mitdb is 201's, and those with noise (118e06) are the clean one's."""
    clean = re.sub(r"(?<=\d)(e|em|ma|bw)_?-?\d+$", "", record)
    return PATIENTS.get(clean, clean)
