import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.utils.flop_counter import FlopCounterMode

from model.labels import CLASSES
from model.net import CLIP, LEAST_SAMPLES, STEPS, WINDOW, RhythmNet, prepare


def test_it_has_under_150_thousand_parameters_and_4_mflop_a_lead() -> None:
    net = RhythmNet(len(CLASSES)).eval()
    assert sum(p.numel() for p in net.parameters()) < 150_000
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(torch.zeros(1, 1, WINDOW), torch.ones(1, 1, STEPS), torch.zeros(1, 1))
    assert counter.get_total_flops() < 4e6


def test_the_stem_gives_as_many_steps_as_the_mask_has() -> None:
    net = RhythmNet(len(CLASSES)).eval()
    with torch.inference_mode():
        assert net.layers(net.stem(torch.zeros(1, 1, WINDOW))).shape[2] == STEPS


@settings(max_examples=30, deadline=None)
@given(
    arrays(
        np.float32, (2, WINDOW), elements=st.floats(-50, 50, width=32) | st.just(np.float32(np.nan)), fill=st.just(0)
    )
)
def test_any_samples_become_finite_ones_within_the_clip(x: np.ndarray) -> None:
    scaled, mask, log_scale = prepare(x)
    assert np.isfinite(scaled).all()
    assert np.abs(scaled).max() <= CLIP
    assert np.isfinite(log_scale).all()
    assert ((mask >= 0) & (mask <= 1)).all()


def test_a_lead_with_too_few_samples_counts_as_missing() -> None:
    x = np.full((2, WINDOW), np.nan, np.float32)
    x[0, : LEAST_SAMPLES - 1] = 1.0
    x[1, :LEAST_SAMPLES] = 1.0
    _, mask, _ = prepare(x)
    assert mask[0].sum() == 0
    assert mask[1].sum() > 0


def test_one_huge_artefact_leaves_the_scale_nearly_as_it_was() -> None:
    x = np.sin(np.arange(WINDOW) / 20, dtype=np.float32)[None].repeat(2, 0)
    x[1, 100:110] = 300.0
    _, _, log_scale = prepare(x)
    assert abs(log_scale[1] - log_scale[0]) < 0.1
