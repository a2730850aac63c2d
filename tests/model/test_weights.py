"""Answers of a network, whatever it has learned: the same bits in any company, and one for any signal."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg import weights_file
from ecg.lead import STANDARD
from ecg.window import SPAN
from model.frontend import cut
from model.labels import RHYTHMS
from model.net import Net
from model.score import OUTPUTS
from model.weights import ANSWERS, CHUNK_BATCH, DECIMALS, FORMAT, SLOTS, Encoded, Network, load, load_bytes
from tests.model.made_up import random_weights, spans
from tests.model.test_net import batch

BEDS: tuple[tuple[str, ...], ...] = (
    *[("II", "V1")] * 18,
    *[("V5",), ("ECG",), ("II", "V1", "V5"), ("I", "II", "III", "aVR", "aVL", "aVF", "V1"), STANDARD] * 2,
)
"""Leads of beds: more with two than are answered together, and others beside them."""


def encoded(network: Network, span_mv: np.ndarray, leads: Sequence[str]) -> list[Encoded]:
    """Encode the chunks of one window, chunk by chunk."""
    chunks = cut(span_mv)
    return [network.encode([chunks[:, k]], [leads])[0] for k in range(chunks.shape[1])]


@cache
def _ward(network: Network) -> tuple[list[list[Encoded]], np.ndarray]:
    windows = [encoded(network, spans(2, len(leads), seed)[1], leads) for seed, leads in enumerate(BEDS)]
    return windows, network.answer(windows, BEDS)


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a, b, atol=2e-4)


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(len(BEDS))), take=st.integers(1, len(BEDS)))
def test_an_answer_is_the_same_to_the_bit_in_any_batch_at_any_place_and_beside_any_bed(
    network: Network, order: list[int], take: int
) -> None:
    windows, whole = _ward(network)
    some = order[:take]
    found = network.answer([windows[k] for k in some], [BEDS[k] for k in some])
    assert found.tobytes() == whole[some].tobytes()


def test_an_answer_alone_is_the_one_among_neighbours_and_no_two_are_alike(network: Network) -> None:
    windows, whole = _ward(network)
    alone = [network.answer([window], [leads]) for window, leads in zip(windows, BEDS, strict=True)]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    assert len(np.unique(whole.round(2), axis=0)) == len(BEDS)
    assert list(SLOTS) == sorted(SLOTS)
    assert max(SLOTS) == len(STANDARD)


@settings(max_examples=8, deadline=None)
@given(order=st.permutations(range(5 * len(BEDS))), take=st.integers(1, 5 * len(BEDS)))
def test_a_chunk_is_encoded_to_the_same_bits_in_any_batch(network: Network, order: list[int], take: int) -> None:
    x = [part for n, leads in enumerate(BEDS) for part in cut(spans(2, len(leads), n)[1]).swapaxes(0, 1)]
    leads = [each for each in BEDS for _ in range(5)]
    assert sum(map(len, leads)) > 2 * CHUNK_BATCH
    whole, some = network.encode(x, leads), order[:take]
    for found, k in zip(network.encode([x[k] for k in some], [leads[k] for k in some]), some, strict=True):
        assert all(a.tobytes() == b.tobytes() for a, b in zip(found, whole[k], strict=True))


@pytest.mark.parametrize("leads", [("II", "V1"), ("V5", "I", "aVF", "II"), STANDARD])
def test_the_order_of_leads_has_no_meaning_but_their_names_have(network: Network, leads: tuple[str, ...]) -> None:
    x = spans(3, len(leads))
    plain = network.logits(x, leads)
    assert np.array_equal(plain, network.logits(x[:, ::-1], leads[::-1]))
    assert not alike(plain[1:], network.logits(x[1:], leads[::-1]))


def test_a_missing_lead_is_as_good_as_none(network: Network) -> None:
    x = spans(5, 3)[1:]
    x[np.isnan(x)] = 0.1
    alone = network.logits(x[:, :1], ["II"])
    for n in (2, 3):
        gone = x[:, :n].copy()
        gone[:, 1:] = np.nan
        names = ["II", "V1", "V5"][:n]
        assert alike(network.logits(gone, names), alone)
        assert not alike(network.logits(x[:, :n], names), alone)


def test_missing_samples_are_not_taken_for_zeros(network: Network) -> None:
    x = spans(3, 2)[1:]
    x[np.isnan(x)] = 0.3
    gap, zero = x.copy(), x.copy()
    gap[:, :, 700:1400], zero[:, :, 700:1400] = np.nan, 0.0
    assert not alike(network.logits(gap, ["II", "V1"]), network.logits(zero, ["II", "V1"]))


@pytest.mark.parametrize("fill", [0.0, np.nan, 5.0, 32.767, -32.767])
def test_flat_missing_and_railed_windows_have_an_answer(network: Network, fill: float) -> None:
    x = np.full((2, SPAN), fill, np.float32)
    assert np.isfinite(network.logits(x[None], ["II", "V1"])).all()
    assert all(0 <= p <= 1 for p in network.predict(x, 250, ["II", "V1"]).values())


def test_no_windows_have_no_answers(network: Network) -> None:
    assert network.classify([], []) == []
    assert network.answer([], []).shape == (0, len(OUTPUTS) + len(RHYTHMS))


def test_of_more_than_twelve_leads_the_known_ones_are_taken(network: Network) -> None:
    x = spans(3, 15)
    names = ["a", *STANDARD[:5], "b", *STANDARD[5:], "c"]
    known = [k for k, name in enumerate(names) if name in STANDARD]
    assert np.array_equal(network.logits(x, names), network.logits(x[:, known], STANDARD))
    unknown = [f"x{k}" for k in range(15)]
    assert np.array_equal(network.logits(x, unknown), network.logits(x[:, :12], unknown[:12]))


def test_a_lead_has_one_meaning_in_any_spelling_and_an_unknown_one_that_of_any_other(network: Network) -> None:
    x = spans(3, 2)[1:]
    plain = network.logits(x, ["II", "V1"])
    for names in (["Lead II", "c1"], ["MLII", "MCL1"], ["d2", "v1"]):
        assert np.array_equal(network.logits(x, names), plain)
    assert np.array_equal(network.logits(x, ["ECG", "foo"]), network.logits(x, ["", "Fetal 1"]))
    assert not alike(network.logits(x, ["ECG", "foo"]), plain)


def test_an_answer_is_calibrated_as_one_of_as_many_leads(network: Network) -> None:
    sets = ["i", "ii", "ii_v1", "12"]
    made = network.made | {
        "calibration": {of: [[0.0, float(k)]] * len(OUTPUTS) for k, of in enumerate(sets)},
        "rhythm_calibration": [2.0, [1.0, *[0.0] * (len(RHYTHMS) - 1)]],
    }
    x = spans(2, 12)
    other = load_bytes(_with(random_weights(), made))

    def named(leads: Sequence[str]) -> str:
        logits = network.logits(x[1:, : len(leads)], leads)
        p = other.probabilities(logits, leads)[0]
        assert p[len(OUTPUTS) :].sum() == pytest.approx(1)
        odds = logits[0, len(OUTPUTS) :] / 2 + np.eye(len(RHYTHMS))[0]
        assert p[len(OUTPUTS) :] == pytest.approx(np.exp(odds) / np.exp(odds).sum())
        return sets[round(float(np.log(p[0] / (1 - p[0]))))]

    assert [named([name]) for name in ("I", "lead i", "MLI", "II", "V5", "ECG")] == ["i", "i", "i", "ii", "ii", "ii"]
    assert [named(STANDARD[:n]) for n in (2, 5, 6, 12)] == ["ii_v1", "ii_v1", "12", "12"]


def _with(kept: bytes, made: dict) -> bytes:
    """Return a file of weights that says something else of how it was made."""
    return weights_file.pack(safetensors.numpy.load(kept), made)


def test_the_pipeline_is_told_probabilities_rounded_by_name(network: Network) -> None:
    windows, whole = _ward(network)
    told = network.classify(windows, BEDS)
    for each, logits, leads in zip(told, whole, BEDS, strict=True):
        assert tuple(each) == ANSWERS
        p = dict(zip((*OUTPUTS, *RHYTHMS), network.probabilities(logits[None], leads)[0], strict=True))
        assert each["normal"] == round(p["normal"], DECIMALS)
        assert each["arrhythmia"] == round(p["condition_arrhythmia"], DECIMALS)
        assert each["noise"] == round(p["noise"], DECIMALS)
        assert sum(each[name] for name in RHYTHMS) == pytest.approx(1, abs=5e-4)


def test_logits_and_features_of_windows_are_those_of_their_chunks(network: Network) -> None:
    x, leads = spans(3, 2), ["II", "V1"]
    windows = [encoded(network, one, leads) for one in x]
    assert np.array_equal(network.logits(x, leads), network.answer(windows, [leads] * 3))
    assert np.array_equal(network.rhythm_logits(x, leads), network.logits(x, leads)[:, len(OUTPUTS) :])
    features = network.features_of(x, leads)
    assert features.shape == (3, 128)
    assert np.array_equal(features, network.features(windows, [leads] * 3))
    assert np.array_equal(network.features_of(x[2:], leads), features[2:])


def heart(rate_hz: int) -> np.ndarray:
    t = np.arange(12 * rate_hz) / rate_hz
    return np.exp(-0.5 * ((t % 0.83 - 0.4) / 0.03) ** 2)[None]


def test_another_rate_is_resampled_first(network: Network) -> None:
    here, there = (network.predict(heart(rate_hz), rate_hz, ["I"]) for rate_hz in (250, 500))
    assert list(here) == [*OUTPUTS, *RHYTHMS]
    assert list(here.values()) == pytest.approx(list(there.values()), abs=0.02)
    wrong = network.predict(heart(500), 250, ["I"])
    assert max(abs(here[name] - wrong[name]) for name in here) > 0.05


def test_a_recording_without_a_sample_is_one_of_missing_samples(network: Network) -> None:
    missing = np.full((1, 6000), np.nan, np.float32)
    from_scratch = network.probabilities(network.logits(missing[None, :, :SPAN], ["V1"]), ["V1"])[0]
    assert list(network.predict(missing, 500, ["V1"]).values()) == from_scratch.round(DECIMALS).tolist()


def test_signals_that_cannot_be_answered_for_are_refused_with_a_reason(network: Network) -> None:
    x = np.zeros((1, SPAN), np.float32)
    with pytest.raises(ValueError, match="with 2 leads"):
        network.predict(x, 250, ["I", "II"])
    with pytest.raises(ValueError, match="at least 1"):
        network.predict(x[:0], 250, [])
    with pytest.raises(ValueError, match="must be \\(leads, samples\\)"):
        network.predict(x[0], 250, ["I"])
    with pytest.raises(ValueError, match="rate_hz must be from 100 to 1000, got 0"):
        network.predict(x, 0, ["I"])
    with pytest.raises(ValueError, match="span_mv must be"):
        network.logits(x[None, :, 1:], ["I"])


def test_a_file_and_its_bytes_are_the_same_network(weights_path: Path, network: Network) -> None:
    again = load_bytes(weights_path.read_bytes())
    assert again.sha256 == load(weights_path).sha256 == network.sha256
    assert (again.made, again.parameters) == (network.made, network.parameters)
    x = spans(2, 2)
    assert np.array_equal(again.logits(x, ["II", "V1"]), network.logits(x, ["II", "V1"]))
    assert load_bytes(random_weights(1)).sha256 != network.sha256


@pytest.mark.parametrize(
    "data", [b"", b"nothing of the kind", b"\xff" * 64, b"\2\0\0\0\0\0\0\0{}", b"\2\0\0\0\0\0\0\0[]"]
)
def test_bytes_that_are_no_weights_are_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        load_bytes(data)


def test_weights_of_another_network_or_cut_short_are_refused_with_a_reason(network: Network) -> None:
    other = {"heads.weight": np.zeros((2, 2), np.float32)}
    with pytest.raises(ValueError, match="got 'vigil-other-1'"):
        load_bytes(weights_file.pack(other, {"format": "vigil-other-1"}))
    for made in ({"format": FORMAT}, network.made):
        with pytest.raises(ValueError, match=f"weights must be a {FORMAT} file: "):
            load_bytes(weights_file.pack(other, made))
    with pytest.raises(ValueError, match="weights must be"):
        load_bytes(random_weights()[:-1])


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.safetensors")


def test_what_is_read_from_a_file_answers_as_what_was_written_to_it() -> None:
    torch.manual_seed(5)
    net = Net().eval()
    kept = {name: held.numpy() for name, held in net.state_dict().items()}
    made = weights_file.made(random_weights())
    read = load_bytes(weights_file.pack(kept, made))
    for name, held in safetensors.numpy.load(weights_file.pack(kept, made)).items():
        assert np.array_equal(held, kept[name]), name
    leads = batch(3)
    with torch.inference_mode():
        assert torch.allclose(read.net(leads).joined(), net(leads).joined(), atol=1e-4)
