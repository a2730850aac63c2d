"""NeuroKit2's `ecg_clean` of each lead of a .npy file: a script for an environment that has nothing of Vigil.

Arguments: the file of shape (n_leads, n_samples), the file to write, the rate in Hz.
"""

import importlib
import sys
import warnings

import numpy as np


def main() -> None:
    """Clean each lead by itself, as the library does."""
    warnings.simplefilter("ignore")
    neurokit = importlib.import_module("neurokit2")
    given, into, rate_hz = sys.argv[1:]
    np.save(into, np.stack([neurokit.ecg_clean(lead, sampling_rate=int(rate_hz)) for lead in np.load(given)]))


if __name__ == "__main__":
    main()
