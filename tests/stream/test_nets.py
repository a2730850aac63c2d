"""Networks from the bytes of their weights files."""

from __future__ import annotations

import json

import pytest

from stream.nets import UnknownWeightsError, load_net, read_weights


def renamed(data: bytes, named: str) -> bytes:
    """The same file with another format in its header."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"]["format"] = named
    new = json.dumps(header).encode()
    return len(new).to_bytes(8, "little") + new + data[8 + length :]


def test_weights_of_a_newer_version_are_told_from_those_that_are_none() -> None:
    with pytest.raises(UnknownWeightsError, match="got vigil-rhythm-2"):
        load_net(renamed(read_weights("shipped"), "vigil-rhythm-2"))
    for garbage in (b"", b"no weights of any network", renamed(read_weights("shipped"), "of-others")):
        with pytest.raises(ValueError, match="weights must be") as raised:
            load_net(garbage)
        assert not isinstance(raised.value, UnknownWeightsError)
