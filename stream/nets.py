"""Networks as the pipeline takes them: by the sha256 of their weights, which answer for windows.

Importing torch takes seconds, so it happens here, when a network is loaded, and nowhere else in this package.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ecg import weights_file
from stream.look import Net

SHIPPED = "net.safetensors"
OURS = "vigil-"
"""Begins the format that a file of Vigil's own weights names."""


class UnknownWeightsError(ValueError):
    """Weights of Vigil in a format that this version does not know: a newer one may."""


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


def load_net(data: bytes) -> tuple[str, Net]:
    """Load a network from the bytes of its weights file; returns their sha256 and the network.

    Raises
    ------
    UnknownWeightsError
        The bytes are weights of Vigil in a format that this version does not know.
    ValueError
        The bytes are no weights.
    """
    from model.weights import FORMAT, load_bytes

    if (named := _format(data)).startswith(OURS) and named != FORMAT:
        raise UnknownWeightsError(f"this version knows weights in the format {FORMAT}, got {named}")
    network = load_bytes(data)
    return network.sha256, network


def _format(data: bytes) -> str:
    """Return the format that a file of weights names, "" where there is none."""
    try:
        return str(weights_file.made(data).get("format", ""))
    except ValueError:
        return ""


def load_nets(which: str) -> dict[str, Net]:
    """Return the one network that a command names, or none where it says `none`."""
    return {} if which == "none" else dict([load_net(read_weights(which))])
