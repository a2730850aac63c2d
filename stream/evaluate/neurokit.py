"""NeuroKit2's beats, one line of JSON for each asked for: a script for an environment that has nothing of Vigil.

It reads lines {"wave": path of a .npy file, "rate_hz": number} and answers with a list of samples; an empty list where
the detector raised, as it does on flat signals.
"""

import importlib
import json
import sys
import warnings

import numpy as np


def main() -> None:
    """Answer each line of the standard input."""
    warnings.simplefilter("ignore")
    neurokit = importlib.import_module("neurokit2")
    for line in sys.stdin:
        asked = json.loads(line)
        rate_hz = round(asked["rate_hz"])
        try:
            clean = neurokit.ecg_clean(np.load(asked["wave"]), sampling_rate=rate_hz)
            peaks = neurokit.ecg_peaks(clean, sampling_rate=rate_hz)[1]["ECG_R_Peaks"]
        except Exception:  # whatever a peer raises is its answer: no beat
            peaks = []
        print(json.dumps([int(at) for at in peaks if at == at]), flush=True)


if __name__ == "__main__":
    main()
