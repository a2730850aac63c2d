"""The network without one of its parts or with another in its place, and what the comparison says."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model import ablations, crossval, dataset, train
from model.ablations import STATES, VARIANTS, StateSpace
from model.crossval import NET, WINDOWS, Asked
from model.frontend import TOKENS
from model.labels import RHYTHMS
from model.measured import DESCRIBED
from model.net import LEADS, WIDTH, Net
from model.score import OUTPUTS
from model.train import LEAD_SETS
from stream.evaluate import ablations as scored
from tests.model.test_net import batch


@pytest.mark.parametrize("part", ablations.PARTS)
def test_without_a_part_the_network_answers_and_otherwise_than_with_it(part: str) -> None:
    torch.manual_seed(4)
    leads, whole, less = batch(3), Net().eval(), ablations.without(part).eval()
    if part == "trees":
        rng = np.random.default_rng(1)
        x, truth = rng.normal(size=(60, LEADS * DESCRIBED)).astype(np.float32), np.tile([0, 1], (11, 30)).T
        whole.trees.grow(x, truth.astype(np.int8))
        less.trees.grow(x, truth.astype(np.int8))
    held = whole.state_dict()
    missing, unknown = less.load_state_dict({k: v for k, v in held.items() if "trees" not in k}, strict=False)
    assert {name.split(".")[0] for name in missing} <= {"trees"}
    assert bool(unknown) == (part in {"cbam", "graph_attention", "transformer"})
    with torch.inference_mode():
        said, plain = less(leads).joined(), whole(leads).joined()
    assert torch.isfinite(said).all()
    assert not torch.allclose(said, plain, atol=1e-3)


def test_the_state_space_is_its_recurrence_in_both_directions() -> None:
    torch.manual_seed(4)
    block, x = StateSpace(), torch.randn(TOKENS, WIDTH, dtype=torch.float64)
    rate = torch.complex(-block.decay.exp(), block.turn).to(torch.complex128)
    step = block.step.exp()[..., None].double()
    read = torch.view_as_complex(block.read).to(torch.complex128)
    kept, taken = (rate * step).exp(), ((rate * step).exp() - 1) / rate  # (2, 64, states): zero-order hold
    seen = torch.zeros_like(x)
    for way, order in enumerate((range(TOKENS), reversed(range(TOKENS)))):
        state = torch.zeros(WIDTH, STATES, dtype=torch.complex128)
        for t in order:
            state = kept[way] * state + taken[way] * x[t][:, None]
            seen[t] += 2 * (read[way] * state).sum(1).real
    with torch.inference_mode():
        found = torch.einsum("cab,bc->ac", block.matrix().double(), x)
    torch.testing.assert_close(found, seen.detach(), atol=1e-4, rtol=1e-4)


def test_a_state_space_in_the_place_of_the_transformer_takes_as_much_and_sees_no_token_that_is_gone() -> None:
    torch.manual_seed(4)
    whole, other, leads = Net().eval(), ablations.with_state_space().eval(), batch(3)
    sizes = [sum(part.numel() for part in net.time.parameters()) for net in (whole, other)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)
    differing = whole.state_dict().keys() ^ other.state_dict().keys()
    assert {name.split(".")[0] for name in differing} == {"time"}
    with torch.inference_mode():
        assert torch.isfinite(other(leads).joined()).all()
        x, hidden = torch.randn(2, TOKENS, WIDTH), torch.zeros(2, 1, 1, TOKENS)
        hidden[..., 5:10] = -1e4
        changed = torch.where(hidden[:, 0, 0, :, None] < 0, torch.randn_like(x), x)
        told = hidden[:, 0, 0] == 0
        assert torch.equal(other.time(x, hidden)[told], other.time(changed, hidden)[told])
        assert not torch.allclose(other.time(x, 0 * hidden)[told], other.time(changed, 0 * hidden)[told], atol=1e-3)


def test_a_part_is_worth_what_the_whole_has_over_the_rest(
    rows: Path,
    generated: dataset.Records,
    strips: dataset.Records,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The folds are there already; one variant knows half as much, the others as much as the whole."""
    monkeypatch.setattr(crossval, "COPIES", 0)
    poor = "net_without_cbam"
    asked = Asked(rows, tmp_path, epochs=scored.ABLATED_EPOCHS, pretraining=0)
    held, truth = crossval.material(asked), train.truths(generated)
    rhythm = np.concatenate([np.zeros((len(strips.name), len(OUTPUTS))), 9.0 * strips.rhythm], axis=1)
    for name in (NET, *VARIANTS):
        for k in range(scored.ABLATED_FOLDS):
            mine, seen = held.record_fold == k, held.window_fold == k
            noise = np.random.default_rng(k).normal(size=(int(mine.sum()), len(OUTPUTS) + len(RHYTHMS)))
            noise[:, : len(OUTPUTS)] += (0.5 if name == poor else 9.0) * truth[mine]
            said = dict.fromkeys(LEAD_SETS, noise.astype(np.float32)) | {WINDOWS: rhythm[seen].astype(np.float32)}
            np.savez(asked.file(name, k), allow_pickle=False, **said)
    monkeypatch.setattr("model.score.BENCHMARK", (6,))  # the one superclass that generated rows tell
    assert scored.evaluate(rows, json=True, work=tmp_path) == 0
    figures = msgspec.json.decode(capsys.readouterr().out)["figures"]
    assert figures["auroc_superclass_macro"] == 1
    assert figures[f"auroc_superclass_macro_over_{poor}"] > 0.05
    others = [name for name in VARIANTS if name != poor]
    assert others
    assert all(figures[f"auroc_superclass_macro_over_{name}"] == 0 for name in others)
