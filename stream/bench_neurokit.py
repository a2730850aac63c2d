"""NeuroKit2's `ecg_clean`, lead by lead: a script for an environment that has nothing of Vigil.

It reads lines {"wave": path of a .npy file of shape (n_leads, n_samples), "rate_hz": number}, writes what comes of a
file over it, and answers with a line {} each.
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
        clean = [neurokit.ecg_clean(lead, sampling_rate=rate_hz) for lead in np.load(asked["wave"])]
        np.save(asked["wave"], np.stack(clean))
        print("{}", flush=True)


if __name__ == "__main__":
    main()
