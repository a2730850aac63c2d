"""Chunks that overlapping windows share: encoded once, and the answers as if each window had been seen alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ecg.microvolts import counts, millivolts
from ecg.window import HOP, Window, Windows
from model.frontend import cut
from model.weights import Network, load_bytes
from stream.look import Asked, Looks
from tests.model.made_up import random_weights

LEADS = {"bed 1": ("II", "V1"), "bed 2": ("V5",)}
FIRST, SECOND = "first", "second"


class Counted:
    """A network that counts the leads' chunks that it encodes."""

    def __init__(self, network: Network) -> None:
        self.network, self.encoded, self.calls = network, 0, 0

    def encode(self, cut_mv: Sequence[np.ndarray], leads: Sequence[Sequence[str]]) -> list[Any]:
        self.encoded += sum(map(len, cut_mv))
        self.calls += 1
        return self.network.encode(cut_mv, leads)

    def classify(self, windows: Sequence[Sequence[Any]], leads: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        return self.network.classify(windows, leads)


@pytest.fixture(scope="module")
def networks() -> dict[str, Network]:
    return {FIRST: load_bytes(random_weights()), SECOND: load_bytes(random_weights(1))}


@pytest.fixture
def nets(networks: dict[str, Network]) -> dict[str, Counted]:
    return {name: Counted(network) for name, network in networks.items()}


@pytest.fixture(scope="module")
def beds() -> dict[str, list[Window]]:
    """Seven windows of each bed, with gaps of a sample, of a chunk, and of one lead."""
    rng, t = np.random.default_rng(2), np.arange(22 * 250) / 250
    found = {}
    for bed, leads in LEADS.items():
        mv = np.stack([np.sin(2 * np.pi * rng.uniform(1, 3) * t) ** 9 + 0.05 * rng.normal(size=len(t)) for _ in leads])
        mv[:, 3000], mv[0, 3300:4100] = np.nan, np.nan
        found[bed] = Windows(len(leads)).feed(millivolts(counts(mv.astype(np.float32))))
    assert {len(windows) for windows in found.values()} == {7}
    return found


@pytest.fixture(scope="module")
def alone(networks: dict[str, Network], beds: dict[str, list[Window]]) -> dict[tuple[str, str], list[Any]]:
    """Answers from scratch by network and bed: each window alone, each chunk alone."""
    found = {}
    for name, network in networks.items():
        for bed, windows in beds.items():
            encoded = [
                [network.encode([part], [LEADS[bed]])[0] for part in cut(window.mv).swapaxes(0, 1)]
                for window in windows
            ]
            found[name, bed] = [
                (window.end, *network.classify([chunks], [LEADS[bed]]))
                for window, chunks in zip(windows, encoded, strict=True)
            ]
    return found


def asked(bed: str, windows: list[Window], net: str = FIRST) -> Asked:
    return Asked(net, LEADS[bed], windows)


@pytest.mark.parametrize("batches", [[1] * 7, [7], [2, 1, 4], [3, 3, 1]])
def test_in_any_batches_the_answers_are_those_from_scratch_and_each_chunk_is_encoded_once(
    nets: dict[str, Counted], beds: dict[str, list[Window]], alone: dict[tuple[str, str], list[Any]], batches: list[int]
) -> None:
    looks, said, at = Looks(nets), {bed: [] for bed in LEADS}, 0
    for n in batches:
        for bed, seen in looks.feed({bed: asked(bed, beds[bed][at : at + n]) for bed in LEADS}).items():
            said[bed] += seen
        at += n
    assert said == {bed: alone[FIRST, bed] for bed in LEADS}
    chunks = 5 + len(beds["bed 1"]) - 1
    assert nets[FIRST].encoded == chunks * sum(map(len, LEADS.values()))
    assert nets[FIRST].calls == len(batches)  # beds together
    assert nets[SECOND].calls == 0


def test_beds_that_take_turns_do_not_see_each_others_chunks(
    nets: dict[str, Counted], beds: dict[str, list[Window]], alone: dict[tuple[str, str], list[Any]]
) -> None:
    looks, said = Looks(nets), {bed: [] for bed in LEADS}
    for k in range(7):
        for bed in LEADS:
            said[bed] += looks.feed({bed: asked(bed, beds[bed][k : k + 1])})[bed]
    assert said == {bed: alone[FIRST, bed] for bed in LEADS}


def test_after_a_restore_the_answers_are_the_same_to_the_bit(
    nets: dict[str, Counted], beds: dict[str, list[Window]], alone: dict[tuple[str, str], list[Any]]
) -> None:
    looks = Looks(nets)
    before = looks.feed({bed: asked(bed, beds[bed][:3]) for bed in LEADS})
    count = nets[FIRST].encoded
    looks.forget("bed 1")
    looks.forget("a bed that never was")
    after = looks.feed({bed: asked(bed, beds[bed][3:4]) for bed in LEADS})
    assert nets[FIRST].encoded == count + 5 * len(LEADS["bed 1"]) + len(LEADS["bed 2"])
    anew = Looks(nets).feed({bed: asked(bed, beds[bed][4:]) for bed in LEADS})
    assert {bed: before[bed] + after[bed] + anew[bed] for bed in LEADS} == {bed: alone[FIRST, bed] for bed in LEADS}


def test_another_stretch_of_a_bed_is_not_answered_by_the_chunks_of_the_one_before(
    nets: dict[str, Counted], beds: dict[str, list[Window]], alone: dict[tuple[str, str], list[Any]]
) -> None:
    looks = Looks(nets)
    looks.feed({"bed 2": asked("bed 2", [Window(window.end, -window.mv) for window in beds["bed 2"][:2]])})
    looks.forget("bed 2")
    assert looks.feed({"bed 2": asked("bed 2", beds["bed 2"][:2])})["bed 2"] == alone[FIRST, "bed 2"][:2]


def test_another_network_answers_by_its_own_chunks(
    nets: dict[str, Counted], beds: dict[str, list[Window]], alone: dict[tuple[str, str], list[Any]]
) -> None:
    looks, said = Looks(nets), []
    turns = [(FIRST, 2), (SECOND, 3), (FIRST, 2)]
    at = 0
    for net, n in turns:
        both = {"bed 1": asked("bed 1", beds["bed 1"][at : at + n], net), "bed 2": asked("bed 2", beds["bed 2"][:1])}
        found = looks.feed(both)
        said += found["bed 1"]
        assert found["bed 2"] == alone[FIRST, "bed 2"][:1]
        at += n
    mine = [alone[net, "bed 1"][k] for k, net in enumerate([FIRST] * 2 + [SECOND] * 3 + [FIRST] * 2)]
    assert said == mine
    assert nets[SECOND].encoded == (5 + 2) * len(LEADS["bed 1"])
    assert alone[FIRST, "bed 1"] != alone[SECOND, "bed 1"]


def test_of_a_bed_no_more_is_kept_than_the_next_window_needs(
    nets: dict[str, Counted], beds: dict[str, list[Window]]
) -> None:
    looks = Looks(nets)
    for k in range(7):
        looks.feed({"bed 1": asked("bed 1", beds["bed 1"][k : k + 1])})
    last = beds["bed 1"][-1].end
    assert list(looks._kept["bed 1"]) == [(FIRST, last - HOP * k) for k in (4, 3, 2, 1, 0)]
    looks.forget("bed 1")
    assert not looks._kept


def test_nobody_asked_is_nobody_answered(nets: dict[str, Counted]) -> None:
    assert Looks(nets).feed({}) == {}
    assert nets[FIRST].calls == 0
