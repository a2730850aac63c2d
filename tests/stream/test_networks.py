"""A patient is judged by a network that has not seen them, and whoever was seen by theirs is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecg import weights_file
from stream.evaluate.networks import networks
from stream.nets import load_nets, read_weights

MADE_OF = {"fold-1.safetensors": ["vfdb/2", "vfdb/3"], "fold-2.safetensors": ["vfdb/1", "vfdb/3"]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, trained in MADE_OF.items():
        (tmp_path / name).write_bytes(weights_file.pack({}, {"monitors": trained}))
    return tmp_path


def test_without_a_network_the_rules_stand_alone() -> None:
    judges = networks("none")
    assert (judges.judging("mitdb/101"), judges.seen) == ({}, frozenset())


def test_the_shipped_one_judges_everybody_and_names_whom_it_was_trained_on() -> None:
    judges = networks("shipped")
    assert judges.judging("mitdb/101").keys() == load_nets("shipped").keys()
    assert "mitdb/101" in judges.seen
    assert "mitdb/100" not in judges.seen
    assert judges.seen == set(weights_file.made(read_weights("shipped"))["monitors"])


def test_who_was_left_out_of_a_fold_is_judged_by_its_network(folder: Path) -> None:
    judges = networks(str(folder))
    assert {whose: Path(file).name for whose, file in judges.of_fold.items()} == {
        "vfdb/1": "fold-1.safetensors",
        "vfdb/2": "fold-2.safetensors",
    }
    assert judges.usual == "shipped"
    assert not judges.seen & {"vfdb/1", "vfdb/2"}
    assert "mitdb/101" in judges.seen


def test_a_folder_without_networks_says_what_would_put_them_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no fold-\*\.safetensors in it; .*--cross-validate --work"):
        networks(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        networks(str(tmp_path / "w.safetensors"))
