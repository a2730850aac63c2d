"""Training on generated rows: the whole way from records to figures, once."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.diagnosis import baselines, crossval, dataset, train, weights
from model.diagnosis.crossval import Asked
from model.diagnosis.score import OUTPUTS, calibrated
from model.evaluate import auroc
from stream.evaluate import diagnosis


def test_an_unknown_label_gives_no_gradient(generated: dataset.Records) -> None:
    leads, truths = train.drawn([generated], np.arange(4), np.random.default_rng(1))
    width = {"normal": (4,), "condition": (4, 5), "superclass": (4, 5), "rhythm": (4, 4)}
    logits = {name: torch.zeros(shape, requires_grad=True) for name, shape in width.items()}
    unknown = truths._replace(
        condition=torch.full_like(truths.condition, -1), rhythm=torch.full_like(truths.rhythm, -1)
    )
    train.masked_loss(train.Answer(**logits), unknown).backward()
    assert not logits["condition"].grad.any()  # pyright: ignore[reportOptionalMemberAccess]
    assert logits["superclass"].grad.any()  # pyright: ignore[reportOptionalMemberAccess]
    assert leads.wave.shape[0] == 4


def test_batches_draw_many_sets_of_leads_and_all_twelve_about_half_the_time() -> None:
    rng = np.random.default_rng(3)
    drawn = [train._subset(rng) for _ in range(400)]
    assert 160 < sum(len(names) == 12 for names in drawn) < 240
    assert {1, 2, 3, 4, 5, 6, 12} <= {len(names) for names in drawn}


@pytest.fixture(scope="module")
def done(generated: dataset.Records, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Asked]:
    """Weights trained on generated rows, and the folder that keeps the folds."""
    work = tmp_path_factory.mktemp("work")
    asked = Asked(seed=3, epochs=5, folds=2, work=work)
    patched = pytest.MonkeyPatch()
    patched.setattr(train, "BATCH", 4)
    patched.setattr(train, "_subset", lambda rng: ("II",))
    patched.setattr(crossval, "THREADS", 1)
    shown: list[str] = []
    (work / "w.safetensors").write_bytes(
        weights.make([generated, generated], asked, "vigil train diagnosis", shown.append)
    )
    (work / "shown").write_text("\n".join(shown))
    patched.undo()
    torch.use_deterministic_algorithms(False)
    return work, asked


def test_it_learns_and_a_run_goes_on_where_it_ended(
    done: tuple[Path, Asked], generated: dataset.Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, asked = done
    monkeypatch.setattr(train, "fit", lambda *args, **rest: pytest.fail("trained again"))
    monkeypatch.setattr(crossval, "THREADS", 1)
    found, fold = crossval.out_of_fold([generated], asked, [crossval.NET])
    assert len(np.unique(fold)) == 2
    assert found["net"]["ii"].any(axis=1).all()
    assert len(list(work.glob("net-3-5-*of2.npz"))) == 2
    losses = [float(line.split()[-1]) for line in (work / "shown").read_text().splitlines() if line.startswith("all:")]
    assert losses[-1] < 0.7 * losses[0]


def test_weights_answer_for_any_leads_at_any_rate(
    done: tuple[Path, Asked], rows: Path, generated: dataset.Records
) -> None:
    made = weights.load(done[0] / "w.safetensors")
    assert made.made["seed"] == 3
    z = np.load(rows / "ptbxl_zscored" / "signals.npz")["z10"][:2] * 0.015
    whole = generated._replace(amplitude=np.ones(len(z), bool))
    logits = train.answers(made.net, whole, np.arange(2), ["II"])[:, : len(OUTPUTS)]
    told = made.predict(z[1, 1:2], 100.0, ["II"])
    assert list(told.values()) == pytest.approx(calibrated(logits, made.calibration["ii"])[1].tolist(), abs=1e-3)
    one = made.predict(np.repeat(z[1, 1:2], 2, axis=1), 200.0, ["ml2"], age=60, sex=1)
    assert set(one) == set(OUTPUTS)
    assert all(0 <= p <= 1 for p in one.values())
    with pytest.raises(ValueError, match="leads"):
        made.predict(z[0], 100.0, ["I"])


def test_a_file_that_is_none_of_the_networks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(ValueError, match="weights"):
        weights.load(tmp_path / "w")


def test_figures_of_records_that_were_trained_on_are_no_headline(
    done: tuple[Path, Asked], rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnosis.evaluate(rows, json=False, cross_validate=False, file=done[0] / "w.safetensors") == 0
    printed = capsys.readouterr().out
    assert "ece_in_sample" in printed
    assert "auroc_normal_in_sample" in printed
    assert " auroc_normal " not in printed


def test_cross_validated_figures_are_of_every_model_with_intervals_and_differences(
    rows: Path, generated: dataset.Records, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, skill = train.truths(generated), {"net": 9.0, "resnet": 0.0, "random_encoder": 0.0, "boosting": 0.0}

    def answered(name: str, copies: object, rows: object, held: NDArray[np.int64], *rest: object) -> crossval.Answers:
        noise = np.random.default_rng(len(held)).normal(size=(len(held), len(OUTPUTS)))
        return {of: (skill[name] * truth[held] + noise).astype(np.float32) for of in train.LEAD_SETS}

    monkeypatch.setattr(crossval, "_answered", answered)
    monkeypatch.setattr(crossval, "COPIES", 0)
    monkeypatch.setattr(crossval, "THREADS", 1)
    assert diagnosis.evaluate(rows, json=True, cross_validate=True) == 0
    torch.use_deterministic_algorithms(False)
    found = msgspec.json.decode(capsys.readouterr().out)
    figures, intervals = found["figures"], found["intervals"]
    assert figures["positives_superclass_cd"] == len(truth) // 2
    assert figures["auroc_normal"] > 0.9
    assert intervals["auroc_normal"][1] == 1.0
    assert "auroc_superclass_macro" not in figures  # no record here has an infarction
    assert figures["records_without_patient"] == len(truth)
    assert not any(name.endswith(("_raw", "_in_sample")) for name in figures)


def test_without_weights_it_says_what_to_do(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnosis.evaluate(rows, json=True, cross_validate=False, file=tmp_path / "none") == 2
    assert "--cross-validate" in capsys.readouterr().err


@pytest.mark.parametrize("head", [baselines.linear, baselines.boosted])
def test_heads_on_features_learn_what_can_be_told_apart(
    head: Callable[..., NDArray[np.float32]],
) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    truth = np.stack([x[:, 2] > 0, np.full(300, -1)], axis=1).astype(np.int8)
    logits = head(x, truth, np.arange(200))
    assert auroc(logits[200:, 0], truth[200:, 0] == 1) > 0.95


def test_features_of_a_record_are_finite_and_tell_wide_beats(generated: dataset.Records) -> None:
    x = baselines.beat_features(generated, ["II", "V1"])
    assert x.shape == (len(generated.name), 2 * 58 + 4)
    assert np.isfinite(x).all()
    interval = x[:, -4]
    assert np.median(interval) == pytest.approx(250, abs=10)
    assert baselines.random_features(generated, ["II"], 1).shape == (len(generated.name), 128)


def test_the_resnet_answers_for_any_leads(generated: dataset.Records) -> None:
    net = baselines.ResNet().eval()
    assert train.answers(net, generated, np.arange(3), ["V1", "II"]).shape == (3, 15)
