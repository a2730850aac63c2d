"""What is measured of a window, and the trees over it."""

import numpy as np
import torch

from ecg.forest import log_odds
from ecg.forest_grow import grow
from model.measured import BEAT, DESCRIBED, MOST, SHARE, SPREAD, Forests, described, spread, steepest
from model.net import LEADS, Net, in_places
from tests.model.test_net import N, batch


def test_a_beat_is_cut_where_all_leads_together_are_steepest_in_any_order_of_them() -> None:
    torch.manual_seed(0)
    wave = 0.01 * torch.randn(2, 3, 585)
    wave[0, 0, 200:204] += 0.5
    wave[0, 1, 198:202] -= 0.5
    wave[0, 2, 400] += 0.9
    wave[1, :, 330] += torch.tensor([1.0, 2.0, 3.0])
    found = steepest(wave)
    assert found.shape == (2, 3, len(BEAT))
    for row, at in ((0, 200), (1, 330)):
        cut = [
            k for k in range(-BEAT[0], 585 - BEAT[-1]) if torch.equal(wave[row][:, k + torch.tensor(BEAT)], found[row])
        ]
        assert len(cut) == 1
        assert abs(cut[0] - at) <= 8
    order = [2, 0, 1]
    assert torch.equal(steepest(wave[:, order]), found[:, order])
    assert torch.equal(steepest(torch.zeros(1, 2, 585)), torch.zeros(1, 2, len(BEAT)))


def test_a_spread_is_what_numpy_says_of_bands_and_signal() -> None:
    wave, morlet = torch.randn(3, 2, 585), torch.randn(3, 2, 8, 50)
    found, x, bands = spread(wave, morlet).numpy(), wave.numpy(), morlet.numpy()
    assert found.shape == (3, 2, SPREAD)
    own = np.stack([x.min(2), x.mean(2), x.std(2), np.abs(x).mean(2)], 2)
    assert np.allclose(found, np.concatenate([bands.mean(3), bands.std(3), own], 2), atol=1e-5)
    assert np.isfinite(spread(torch.ones(1, 585), torch.zeros(1, 8, 50)).numpy()).all()


def test_a_lead_is_described_by_its_middle_beat_and_a_missing_chunk_says_nothing() -> None:
    torch.manual_seed(2)
    beat, wide, level = torch.randn(N, 2, 5, len(BEAT)), torch.randn(N, 2, 5, SPREAD), torch.randn(N, 2, 5)
    there, known = torch.ones(N, 2, 5, dtype=torch.bool), torch.tensor([1.0, 0.0])
    found = described(beat, wide, level, there, known)
    assert found.shape == (N, 2, DESCRIBED)
    assert torch.equal(found[..., : len(BEAT)], beat.median(2).values)
    assert torch.allclose(found[..., len(BEAT) : -2], wide.mean(2), atol=1e-6)
    assert torch.allclose(found[0, :, -2], level[0].mean(1), atol=1e-6)
    assert found[0, :, -1].tolist() == [1, 1]
    assert not found[1, :, -2:].any()
    there[0, 0, :4], there[1, 1] = False, False
    some = described(beat, wide, level, there, known)
    assert torch.allclose(
        some[0, 0], torch.cat([beat[0, 0, 4], wide[0, 0, 4], level[0, 0, 4:], torch.ones(1)]), atol=1e-6
    )
    assert not some[1, 1].any()
    assert torch.equal(some[1, 0], found[1, 0])


@torch.inference_mode()
def test_what_is_measured_stands_at_the_place_of_its_lead() -> None:
    torch.manual_seed(1)
    net, leads = Net().eval(), batch(2)
    tokens = net.tokens(leads.wave, leads.morlet)
    found = in_places(tokens.beat, tokens.spread, leads).unflatten(1, (LEADS, DESCRIBED))
    there = torch.ones(N, 2, 5, dtype=torch.bool)
    plain = described(tokens.beat, tokens.spread, leads.level, there, leads.amplitude)
    for row in range(N):
        for k in range(2):
            assert torch.equal(found[row, leads.lead[row, k]], plain[row, k])
    assert int((found.abs().sum(2) > 0).sum()) == 2 * N


def test_forests_say_what_each_tree_says_within_a_limit_and_nothing_before_they_are_grown() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 5)).astype(np.float32)
    truth = np.stack([x[:, 0] > 0, x[:, 1] + 0.5 * rng.normal(size=400) > 0, np.ones(400)], 1).astype(np.int8)
    truth[::3, 1] = -1
    forests, own = Forests(3), torch.from_numpy(rng.normal(size=(400, 3)).astype(np.float32))
    assert torch.equal(forests(own, torch.from_numpy(x)), own)
    forests.grow(x, truth)
    said = (forests(own, torch.from_numpy(x)) - (1 - SHARE) * own) / SHARE
    for k in (0, 1):
        rows = truth[:, k] >= 0
        trees = grow(x[rows], truth[rows, k] == 1, np.ones(int(rows.sum())))
        plain = np.clip([log_odds(trees, each) for each in x], -MOST, MOST)
        assert np.allclose(said[:, k], plain, atol=1e-4)
    assert not said[:, 2].abs().gt(1e-5).any()
    again = Forests(3)
    again.load_state_dict(forests.state_dict())
    assert torch.equal(again(own, torch.from_numpy(x)), forests(own, torch.from_numpy(x)))
