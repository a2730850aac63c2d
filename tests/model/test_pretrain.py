"""Pretraining without labels, and the curve of what it and labels are worth."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from model import crossval, dataset, pretrain, train
from model.crossval import Asked
from model.frontend import CHUNK_TOKENS, TOKEN
from model.net import Leads, Net
from model.train import Sets
from stream.evaluate import labels
from stream.evaluate.labels import LEADS, PRETRAINED, SCRATCH, SHARES, labelled


@pytest.fixture(autouse=True, scope="module")
def _as_before() -> Iterator[None]:
    """Give torch back as it was: training makes it deterministic, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture
def leads(generated: dataset.Records) -> Leads:
    found = train.batch([generated])
    found.mask[0, 3:] = 0  # the first record has three leads
    found.mask[1, :, :CHUNK_TOKENS] = 0  # the second lacks a chunk
    return found


def test_each_window_keeps_a_lead_that_it_has_and_of_what_is_hidden_nothing_is_left(leads: Leads) -> None:
    rng, shares = np.random.default_rng(1), []
    had = (leads.mask > 0).any(2)
    for _ in range(20):
        found = pretrain.hidden(leads, rng)
        kept = (found.mask > 0).any(2)
        assert kept.any(1).all()
        assert not (kept & ~had).any()
        for part in found[:4]:
            assert not part[~kept].any()
        assert all(torch.equal(a[kept], b[kept]) for a, b in zip(found[:4], leads[:4], strict=True))
        shares.append(float(kept[2:].float().mean()))
    assert 0.4 < np.mean(shares) < 0.6


def test_the_content_of_a_token_is_its_bands_and_its_signal_in_steps(leads: Leads) -> None:
    found = pretrain.content(leads)
    assert found.shape == (*leads.mask.shape, pretrain.CONTENT)
    chunk, part = 2, 3
    token = found[4, 1, chunk * CHUNK_TOKENS + part]
    steps = slice(part * TOKEN, (part + 1) * TOKEN)
    torch.testing.assert_close(token[:-TOKEN], leads.morlet[4, 1, chunk, :, steps].mean(1))
    first = pretrain.EDGE + part * 100
    wave = leads.wave[4, 1, chunk, first : first + 100].reshape(10, 10).mean(1)
    torch.testing.assert_close(token[-TOKEN:], wave)


def test_hidden_leads_are_told_better_and_better_the_same_by_the_same_seed(
    generated: dataset.Records, strips: dataset.Records
) -> None:
    shown: list[str] = []
    sets = Sets([generated], np.arange(16), strips, np.arange(len(strips.name)))
    one, two = (pretrain.pretrained(sets, 3, 30, shown.append).state_dict() for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.values(), two.values(), strict=True))
    untold = [float(line.split()[-1]) for line in shown[:30]]
    assert np.mean(untold[-5:]) < 0.8 * np.mean(untold[5:10])
    torch.manual_seed(3)
    before = Net().state_dict()
    assert torch.equal(one["heads.weight"], before["heads.weight"])
    assert not torch.equal(one["stem.first.weight"], before["stem.first.weight"])


def test_no_label_has_a_part_in_pretraining(generated: dataset.Records, strips: dataset.Records) -> None:
    blank = generated._replace(
        normal=np.full_like(generated.normal, -1),
        superclass=0 * generated.superclass,
        condition=0 * generated.condition,
    )
    seen = np.arange(len(strips.name))
    one, two = (
        pretrain.pretrained(Sets([records], np.arange(16), strips, seen), 3, 1).state_dict()
        for records in (generated, blank)
    )
    assert all(torch.equal(a, b) for a, b in zip(one.values(), two.values(), strict=True))


def test_windows_of_one_lead_take_no_part(generated: dataset.Records, strips: dataset.Records) -> None:
    sets = Sets([generated], np.arange(16), strips, np.arange(len(strips.name)))
    assert pretrain._pairs(sets).tolist() == []
    both = strips._replace(leads=strips.leads._replace(mask=strips.leads.mask[:, [0, 0]]))
    assert pretrain._pairs(sets._replace(windows=both, seen=np.array([3, 5]))).tolist() == [3, 5]


def test_fewer_labels_lie_within_more_and_a_patient_has_all_or_none(
    generated: dataset.Records, strips: dataset.Records
) -> None:
    patient = np.array([f"patient {k // 2}" for k in range(len(generated.name))])
    sets = Sets([generated._replace(patient=patient)], np.arange(2, 16), strips, np.arange(len(strips.name)))
    some, more, whole = (labelled(sets, share, 1) for share in (0.3, 0.7, 1.0))
    assert len(np.unique(patient[some.rows])) == 2
    for few, many in ((some, more), (more, whole)):
        assert set(few.rows) < set(many.rows)
        assert set(few.seen) < set(many.seen)
        assert np.isin(patient[sets.rows], patient[few.rows]).sum() == len(few.rows)
    assert np.array_equal(whole.rows, sets.rows)
    assert np.array_equal(whole.seen, sets.seen)
    assert labelled(Sets(sets.copies, sets.rows), 0.3, 1).windows is None


def test_each_share_of_labels_is_answered_with_and_without_pretraining_and_kept(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crossval, "COPIES", 0)
    monkeypatch.setattr(labels, "SHARES", {0.5: 1, 1.0: 1})
    monkeypatch.setattr(labels, "PRETRAINED_EPOCHS", 1)
    asked = Asked(rows, tmp_path, folds=4, pretraining=0)
    found = labels.answered(asked, 1)
    mine = int((crossval.material(asked).record_fold == 1).sum())
    assert set(found) == {(way, share) for way in (SCRATCH, PRETRAINED) for share in (0.5, 1.0)}
    for said in found.values():
        assert set(said) == {"12", "ii", "12_alone", "ii_alone"}
        assert {each.shape for each in said.values()} == {(mine, 11)}
        assert not np.array_equal(said["12"], said["12_alone"])
    assert not np.array_equal(found[SCRATCH, 1.0]["12_alone"], found[PRETRAINED, 1.0]["12_alone"])
    monkeypatch.setattr(train, "fit", None)
    again = labels.answered(asked, 1)
    assert all(np.array_equal(again[key][of], said) for key, each in found.items() for of, said in each.items())


def test_what_pretraining_gains_is_the_difference_of_the_two(
    rows: Path,
    generated: dataset.Records,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The folds are there already; what was pretrained knows half as much with few labels, and as much with all."""
    monkeypatch.setattr(crossval, "COPIES", 0)
    asked = Asked(rows, tmp_path, pretraining=0)
    held, truth = crossval.material(asked), train.truths(generated)
    for k in range(labels.SCORED_FOLDS):
        mine = held.record_fold == k
        for share in SHARES:
            for way in (SCRATCH, PRETRAINED):
                noise = np.random.default_rng(k).normal(size=(int(mine.sum()), truth.shape[1]))
                noise += (0.3 if way == PRETRAINED and share < 1 else 9.0) * truth[mine]
                said = {f"{of}{end}": noise.astype(np.float32) for of in LEADS for end in ("", "_alone")}
                np.savez(asked.file(f"labels_{way}_{100 * share:.0f}", k), allow_pickle=False, **said)
    monkeypatch.setattr(labels, "ProcessPoolExecutor", lambda count, mp_context: ThreadPoolExecutor(1))
    monkeypatch.setattr("model.score.BENCHMARK", (6,))  # the one superclass that generated rows tell
    assert labels.evaluate(rows, json=True, work=tmp_path) == 0
    figures = msgspec.json.decode(capsys.readouterr().out)["figures"]
    for leads in ("", "_lead_ii", "_alone", "_lead_ii_alone"):
        assert figures[f"auroc_superclass_macro{leads}_labels_10_scratch"] == 1
        lost = figures[f"auroc_superclass_macro{leads}_labels_10_pretrained"] - 1
        assert figures[f"auroc_superclass_macro{leads}_labels_10_gained"] == pytest.approx(lost)
        assert lost < -0.05
        assert figures[f"auroc_superclass_macro{leads}_labels_100_gained"] == 0
