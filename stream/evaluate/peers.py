"""Public beat detectors on the same records: `sleepecg` here, `neurokit2` in an environment of its own.

Both get the first ECG lead, and all of it at once: neither is causal. NeuroKit2 pins libraries that Vigil does not; the
make target `peers` puts it into `.venv-peers`, and it runs there as a subprocess, one for a whole set.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.record import Record

PEERS = ("sleepecg", "neurokit2")
ENVIRONMENT = Path(".venv-peers")
SCRIPT = Path(__file__).with_name("neurokit.py")


def lead(recording: Record) -> NDArray[np.float64]:
    """Return a record's first ECG lead in millivolts, missing samples drawn through, as peers need it."""
    wave = recording.mv()[0].astype(np.float64)
    missing = np.isnan(wave)
    if missing.all():
        raise ValueError(f"{recording.name}: no sample in the first lead")
    wave[missing] = np.interp(np.flatnonzero(missing), np.flatnonzero(~missing), wave[~missing])
    return wave


def sleepecg(recording: Record) -> NDArray[np.int64]:
    """Return the beats that sleepecg finds, in samples at the record's own rate."""
    try:
        from sleepecg.heartbeats import detect_heartbeats
    except ImportError as error:
        raise ValueError("sleepecg is not installed: it comes with the extra `dev`") from error
    return np.asarray(detect_heartbeats(lead(recording), recording.rate_hz), np.int64)


def neurokit2(recordings: Iterator[Record], environment: Path = ENVIRONMENT) -> Mapping[str, NDArray[np.int64]]:
    """Return the beats that NeuroKit2 finds in each record, in samples at the record's own rate.

    Raises
    ------
    ValueError
        If the environment is not there, or the detector did not run.
    """
    python = environment / "bin" / "python"
    if not python.exists():
        raise ValueError(f"{environment} is not there: `make peers` makes it")
    found: dict[str, NDArray[np.int64]] = {}
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "wave.npy"
        with subprocess.Popen(
            [str(python), str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for recording in recordings:
                np.save(wave, lead(recording))
                process.stdin.write(json.dumps({"wave": str(wave), "rate_hz": recording.rate_hz}) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise ValueError(f"neurokit2 ended at record {recording.name}")
                found[recording.name] = np.array(json.loads(line), np.int64)
            process.stdin.close()
    return found
