"""`python -m tests.fuzz.guided`: inputs that a fuzzer bends towards branches it has not seen, where atheris is there.

Each goes through the codec and, beside those before it, through the whole pipeline; anything but a record or a dead
letter ends the run and is written to a file.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INSTRUMENTED = ["ecg.frame", "ecg.timeline", "ecg.wardclock", "stream.intake", "stream.signing", "stream.pipeline"]
LIFE = 2000
"""Inputs that one pipeline takes before the next begins from nothing."""
LONGEST = 4096


def guided(runs: int, seed: int = 0) -> dict[str, Any]:
    """Let a process of its own run so many inputs; nothing where atheris is not installed.

    Returns
    -------
    dict
        `guided_runs`, `coverage` (branches and functions seen), and `crashes`, 1 where one input was too much, with
        what was said last.
    """
    if find_spec("atheris") is None:
        return {"guided_runs": 0, "said": "atheris is not installed"}
    with tempfile.TemporaryDirectory(prefix="vigil-guided-") as folder:
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        words = [sys.executable, "-m", "tests.fuzz.guided", "--runs", str(runs), "--seed", str(seed), str(corpus)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
    lines = ended.stderr.splitlines()
    covered = [int(line.split("cov: ")[1].split()[0]) for line in lines if "cov: " in line]
    found: dict[str, Any] = {"guided_runs": runs, "coverage": max(covered, default=0), "crashes": ended.returncode != 0}
    return found | ({"said": lines[-12:]} if ended.returncode else {})


def main() -> None:
    """Run inputs; the fuzzer ends the process itself."""
    import atheris  # pyright: ignore[reportMissingImports]

    import ecg.frontend  # noqa: F401  (compiled code is none that atheris could look into)

    with atheris.instrument_imports(include=INSTRUMENTED):  # pyright: ignore[reportAttributeAccessIssue]
        from ecg.frame import Command, Frame, FrameError, decode
        from stream.batch import Record
        from stream.pipeline import Pipeline
    from tests.fuzz.mutants import good

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("corpus", type=Path, help="an empty folder")
    asked = parser.parse_args()
    for n, value in enumerate(good()):
        (asked.corpus / str(n)).write_bytes(value)
    taken, pipeline = 0, Pipeline({})

    def one(data: bytes) -> None:
        nonlocal taken, pipeline
        value = bytes(data)
        key = None
        try:
            record = decode(value)
            key = record.device.encode() if isinstance(record, Frame | Command) else None
        except FrameError:
            pass
        if taken % LIFE == 0:
            pipeline = Pipeline({})
        pipeline.feed([Record(0, taken, key, value)])
        taken += 1

    options = [f"-atheris_runs={asked.runs}", f"-seed={asked.seed + 1}", f"-max_len={LONGEST}", str(asked.corpus)]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
