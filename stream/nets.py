"""Networks as the pipeline takes them: by the sha256 of their weights, from windows with lead names to probabilities.

Importing torch takes seconds, so it happens here, when a network is loaded, and nowhere else in this package.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from stream.pipeline import Predict

SHIPPED = "rhythm.safetensors"


def read_weights(which: str) -> bytes:
    """Return the bytes of a weights file; `shipped` is the one that comes with Vigil.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    if which == "shipped":
        return files("model").joinpath("weights", SHIPPED).read_bytes()
    return Path(which).read_bytes()


def load_net(data: bytes) -> tuple[str, Predict]:
    """Load a network from the bytes of its weights file; returns their sha256 and the network.

    Raises
    ------
    ValueError
        The bytes are no weights of a network that this version knows.
    """
    from model.weights import load_bytes

    classifier = load_bytes(data)
    return classifier.sha256, classifier.classify


def load_nets(which: str) -> dict[str, Predict]:
    """Return the one network that a command names, or none where it says `none`."""
    return {} if which == "none" else dict([load_net(read_weights(which))])
