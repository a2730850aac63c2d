"""Networks from the bytes of their weights files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import safetensors.numpy

from ecg import weights_file
from stream.nets import UnknownWeightsError, load_net, load_nets, read_weights
from tests.model.made_up import random_weights


def renamed(data: bytes, named: str) -> bytes:
    """The same file that names another format."""
    return weights_file.pack(safetensors.numpy.load(data), weights_file.made(data) | {"format": named})


def test_weights_of_a_newer_version_are_told_from_those_that_are_none() -> None:
    data = random_weights()
    with pytest.raises(UnknownWeightsError, match="got vigil-net-9"):
        load_net(renamed(data, "vigil-net-9"))
    for garbage in (b"", b"no weights of any network", renamed(data, "of-others")):
        with pytest.raises(ValueError, match="weights must be") as raised:
            load_net(garbage)
        assert not isinstance(raised.value, UnknownWeightsError)


def test_a_command_names_a_file_or_none(tmp_path: Path) -> None:
    data = random_weights()
    (tmp_path / "w.safetensors").write_bytes(data)
    assert load_nets("none") == {}
    assert list(load_nets(str(tmp_path / "w.safetensors"))) == [hashlib.sha256(data).hexdigest()]


def test_the_shipped_weights_are_the_ones_that_a_command_names_so() -> None:
    assert list(load_nets("shipped")) == [hashlib.sha256(read_weights("shipped")).hexdigest()]
