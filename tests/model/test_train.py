"""Training on generated rows and strips: the whole way from records to figures, once."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from ecg import weights_file
from model import baselines, crossval, dataset, train, weights
from model.crossval import WINDOWS, Asked
from model.labels import RHYTHMS
from model.net import Net
from model.rhythm_score import auroc
from model.score import OUTPUTS
from model.train import LEAD_SETS, Sets
from stream.evaluate import diagnosis
from stream.evaluate.networks import networks

WIDTH = len(OUTPUTS) + len(RHYTHMS)


@pytest.fixture(autouse=True, scope="module")
def _as_before() -> Iterator[None]:
    """Give torch back as it was: training makes it deterministic, on one thread."""
    threads = torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def logits_of(n: int) -> dict[str, torch.Tensor]:
    shapes = {"normal": (n,), "condition": (n, 5), "superclass": (n, 5), "rhythm": (n, len(RHYTHMS))}
    return {name: torch.zeros(shape, requires_grad=True) for name, shape in shapes.items()}


def test_an_unknown_label_gives_no_gradient(generated: dataset.Records) -> None:
    leads, truths = train.drawn([generated], np.arange(4), np.random.default_rng(1))
    logits = logits_of(4)
    unknown = truths._replace(
        condition=torch.full_like(truths.condition, -1), rhythm=torch.ones_like(truths.rhythm, dtype=torch.bool)
    )
    train.masked_loss(train.Answer(**logits), unknown).backward()
    for name in ("condition", "rhythm"):
        assert not logits[name].grad.any()  # pyright: ignore[reportOptionalMemberAccess]
    assert logits["superclass"].grad.any()  # pyright: ignore[reportOptionalMemberAccess]
    assert leads.wave.shape[0] == 4


def test_a_rhythm_that_may_be_several_costs_what_the_others_are_given() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.2]])).repeat(3, 1)
    allowed = torch.tensor([[True, False, False], [True, True, False], [True, True, True]])
    for rows, wanted in (([0], -np.log(0.5)), ([1], -np.log(0.8)), ([0, 2], -np.log(0.5)), ([2], 0)):
        assert float(train.allowed_loss(logits[rows], allowed[rows])) == pytest.approx(wanted, abs=1e-6)


def test_beside_all_twelve_leads_many_sets_of_fewer_are_drawn() -> None:
    rng = np.random.default_rng(3)
    drawn = [train._fewer(rng) for _ in range(400)]
    assert {len(rows) for rows in drawn} == {1, 2, 3, 4, 5, 6, 7}
    assert set().union(*drawn) == set(range(12))
    assert all(len(set(rows)) == len(rows) for rows in drawn)
    assert 60 < sum(rows == [1] for rows in drawn) < 140


def test_a_rare_rhythm_and_a_patient_with_few_windows_gain_by_drawing() -> None:
    rhythm = np.repeat(np.eye(2, dtype=bool), [90, 10], axis=0)
    patient = np.array(["a"] * 81 + ["b"] * 9 + ["c"] * 10)
    chance = train.chances(rhythm, patient)
    assert chance.sum() == pytest.approx(1)
    assert chance[90:].sum() == pytest.approx(np.sqrt(10) / (np.sqrt(90) + np.sqrt(10)))
    assert chance[:81].sum() / chance[81:90].sum() == pytest.approx(3)


def test_a_changed_window_keeps_a_lead_and_what_it_lost_is_masked(strips: dataset.Records) -> None:
    both = strips._replace(
        leads=strips.leads._replace(**{k: v[:, [0, 0]] for k, v in strips.leads._asdict().items()}),
        lead=np.tile(np.array([1, 6], np.int8), (len(strips.name), 1)),
    )
    rows = np.tile(np.arange(len(strips.name)), 20)
    plain, (leads, truths) = train.batch([both.take(rows)]), train.varied(both, rows, np.random.default_rng(5))
    there = (leads.mask.unflatten(2, (5, -1)) > 0).any(3)
    assert (there.sum(2) > 0).any(1).all()
    gone = (there.sum(2) == 0).any(1)
    assert train.DROP_LEAD - 0.1 < gone.float().mean() < train.DROP_LEAD + 0.1
    assert not leads.wave[~there].any()
    assert not leads.morlet[~there].any()
    holes = ((there.sum(2) == 4) & (plain.mask[:, :, ::5].sum(2) == 5)).any(1).float().mean()
    assert 0 < holes < 2 * train.HOLE
    assert torch.equal(leads.wave[there].abs(), plain.wave[there].abs())
    turned = (leads.wave[there] * plain.wave[there]).sum(1) < 0
    assert train.FLIP / 2 < turned.float().mean() < 2 * train.FLIP
    assert (truths.rhythm.numpy() == strips.rhythm[rows]).all()
    assert (leads.amplitude.numpy() == 0).mean() == pytest.approx(train.HIDE_LEVEL, abs=0.1)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    generated: dataset.Records, strips: dataset.Records
) -> None:
    sets = Sets([generated], np.arange(4), strips, np.arange(12))
    torch.set_num_threads(1)
    one, two, other = (list(train.fit(sets, seed, epochs=1).state_dict().values()) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


class Done:
    """A network trained on generated rows and strips, by two folds in processes of their own, and what was shown."""

    def __init__(self, rows: Path, work: Path) -> None:
        self.asked, self.shown = Asked(rows, work, seed=3, epochs=12, folds=2, pretraining=1), list[str]()
        self.held = crossval.material(self.asked)
        self.file = work / "w.safetensors"
        self.file.write_bytes(
            weights.make(
                self.asked, self.held, "vigil train net", lambda a: diagnosis._figures(a, self.held), self.shown.append
            )
        )


@pytest.fixture(scope="module")
def done(rows: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(rows, tmp_path_factory.mktemp("work"))


def test_it_learns_the_diagnosis_and_the_rhythm(done: Done, strips: dataset.Records) -> None:
    losses = [
        float(line.split()[-1])
        for line in done.shown
        if line.startswith("net, all patients: epoch") and ", loss " in line
    ]
    assert len(losses) == done.asked.epochs
    assert losses[-1] < 0.7 * losses[0]
    said = train.answers(weights.load(done.file).net, strips, np.arange(len(strips.name)))
    noise = RHYTHMS.index("noise")
    assert auroc(said[:, len(OUTPUTS) + noise], strips.rhythm[:, noise]) > 0.9


def test_a_run_goes_on_where_it_ended(done: Done) -> None:
    folds = sorted(done.asked.work.glob("net-3-1+12-[01]of2.npz"))
    written = [file.stat().st_mtime_ns for file in folds]
    assert len(folds) == 2
    found = crossval.out_of_fold(done.asked, done.held, [crossval.NET])[crossval.NET]
    assert [file.stat().st_mtime_ns for file in folds] == written
    assert set(found) == {*LEAD_SETS, WINDOWS}
    for of, logits in found.items():
        assert logits.shape == (len(done.held.fold_of(of)), WIDTH)
        for k, file in enumerate(folds):
            with np.load(file) as kept:
                assert np.array_equal(logits[done.held.fold_of(of) == k], kept[of])


def test_weights_say_how_they_were_made_and_what_they_are_worth(done: Done) -> None:
    made = weights.load(done.file).made
    assert (made["seed"], made["epochs"], made["command"]) == (3, 12, "vigil train net")
    assert made["records"] == [f"ptbxl_zscored/{1000 + k}" for k in range(16)]
    assert made["monitors"] == [f"cinc2017/A{k:05}" for k in range(12)]
    assert made["versions"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert made["rhythm_calibration"][0] > 0
    assert any(made["rhythm_calibration"][1])
    figures = made["figures"]["figures"]
    assert figures["rhythm_windows_noise"] == 8
    assert figures["rhythm_patients_atrial_fibrillation"] == 4
    assert 0 <= figures["rhythm_ece"] <= 1
    assert figures["ptbxl_zscored_records"] == 16


def test_weights_answer_for_any_leads_at_any_rate(done: Done, rows: Path, generated: dataset.Records) -> None:
    made = weights.load(done.file)
    z = np.load(rows / "ptbxl_zscored" / "signals.npz")["z10"][:2] * 0.015
    whole = generated._replace(amplitude=np.ones(len(generated.name), bool))
    logits = train.answers(made.net, whole, np.arange(2), ["II"])
    told = made.predict(z[1, 1:2], 100.0, ["II"])
    assert list(told.values()) == pytest.approx(made.probabilities(logits, ["II"])[1].tolist(), abs=1e-3)
    one = made.predict(np.repeat(z[1, 1:2], 2, axis=1), 200.0, ["ml2"])
    assert list(one) == [*OUTPUTS, *RHYTHMS]
    assert all(0 <= p <= 1 for p in one.values())


def test_figures_of_records_that_were_trained_on_are_no_headline(
    done: Done, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert diagnosis.evaluate(rows, json=False, cross_validate=False, file=done.file) == 0
    printed = capsys.readouterr().out
    assert "ece_in_sample" in printed
    assert "auroc_normal_in_sample" in printed
    assert " auroc_normal " not in printed


def test_cross_validated_figures_are_of_every_model_with_intervals_and_differences(
    rows: Path,
    generated: dataset.Records,
    strips: dataset.Records,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The folds are there already: what they say is taken, and each row's from its own fold."""
    monkeypatch.setattr(crossval, "COPIES", 0)
    asked = Asked(rows, tmp_path)
    held, truth, skill = crossval.material(asked), train.truths(generated), {"net": 9.0}
    rhythm = 9.0 * strips.rhythm.astype(np.float32)
    for name in diagnosis.MODELS:
        for k in range(asked.folds):
            mine = np.flatnonzero(held.record_fold == k)
            noise = np.random.default_rng(k).normal(size=(len(mine), WIDTH)).astype(np.float32)
            noise[:, : len(OUTPUTS)] += skill.get(name, 0.0) * truth[mine]
            said = dict.fromkeys(LEAD_SETS, noise)
            if name == crossval.NET:
                seen = np.flatnonzero(held.window_fold == k)
                said[WINDOWS] = np.concatenate([np.zeros((len(seen), len(OUTPUTS)), np.float32), rhythm[seen]], axis=1)
            np.savez(asked.file(name, k), allow_pickle=False, **said)
    for k in range(asked.folds):
        asked.network(k).write_bytes(weights_file.pack(crossval.tensors(Net()), {}))
    picture = tmp_path / "reliability.svg"
    assert diagnosis.evaluate(rows, json=True, cross_validate=True, work=tmp_path, picture=picture) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    figures, intervals = found["figures"], found["intervals"]
    assert figures["positives_superclass_cd"] == len(truth) // 2
    assert figures["auroc_normal"] > 0.9
    assert intervals["auroc_normal"][1] == 1.0
    assert "auroc_superclass_macro" not in figures  # no record here has an infarction
    assert figures["records_without_patient"] == len(truth)
    assert figures["rhythm_f1_noise"] == figures["rhythm_auroc_sinus"] == figures["rhythm_accuracy"] == 1
    assert figures["rhythm_windows_lethal"] == 0
    assert not any(name.endswith(("_raw", "_in_sample")) for name in figures)
    assert sum(each["cases"] for each in found["reliability"]["rhythm_ece"]["bins"]) == len(strips.name)
    assert all(0 <= figures[name] <= intervals[name][1] for name in found["reliability"])
    assert "VT or VF" in picture.read_text()
    judges = networks(str(tmp_path))
    assert judges.of_fold.keys() == set(strips.patient)
    for whose, fold in zip(strips.patient.tolist(), held.window_fold.tolist(), strict=True):
        assert judges.of_fold[whose] == str(tmp_path / f"fold-{fold + 1}.safetensors")
        made = weights.load(judges.of_fold[whose]).made
        assert whose not in made["monitors"]
        assert made["split"] == f"without fold {fold + 1} of 5 by patient"


@pytest.mark.parametrize("name", [crossval.RESNET, crossval.RANDOM, crossval.BOOSTING])
def test_what_the_network_is_compared_with_answers_for_the_records_of_a_fold(
    generated: dataset.Records, rows: Path, tmp_path: Path, name: str
) -> None:
    fold = dataset.folds(generated, 2, 1)
    held = crossval.Material([generated], None, fold, np.zeros(0, np.int64))
    said = crossval._answered(name, held, 1, Asked(rows, tmp_path, epochs=1, folds=2))
    assert set(said) == set(LEAD_SETS)
    assert {logits.shape for logits in said.values()} == {(int((fold == 1).sum()), WIDTH)}
    assert all(np.isfinite(logits).all() for logits in said.values())
    assert (name == crossval.RESNET) == any(logits[:, len(OUTPUTS) :].any() for logits in said.values())


def test_rhythms_of_a_fold_are_calibrated_on_the_others_that_count() -> None:
    rng = np.random.default_rng(1)
    n, label = 600, rng.integers(0, 3, 600)
    allowed = np.eye(len(RHYTHMS), dtype=bool)[label]
    logits = np.zeros((n, WIDTH), np.float32)
    logits[:, len(OUTPUTS) :] = 4 * (rng.normal(size=(n, len(RHYTHMS))) + 2 * allowed)
    fold, used = np.arange(n) % 3, rng.random(n) < 0.8
    plain = crossval.rhythm_probabilities(logits, allowed, fold, used)
    assert np.allclose(plain.sum(axis=1), 1)
    changed = allowed.copy()
    changed[(fold == 0) | ~used] = np.eye(len(RHYTHMS), dtype=bool)[5]
    again = crossval.rhythm_probabilities(logits, changed, fold, used)
    assert np.array_equal(again[fold == 0], plain[fold == 0])
    assert not np.allclose(again[fold == 1], plain[fold == 1], atol=1e-3)


def test_without_weights_it_says_what_to_do(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diagnosis.evaluate(rows, json=True, cross_validate=False, file=tmp_path / "none") == 2
    assert "--cross-validate" in capsys.readouterr().err
    assert diagnosis.evaluate(rows, json=True, cross_validate=False, picture=tmp_path / "r.svg") == 2
    assert "it goes with --cross-validate" in capsys.readouterr().err


def test_a_linear_head_learns_what_can_be_told_apart() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(300, 6)).astype(np.float32)
    truth = np.stack([x[:, 2] > 0, np.full(300, -1)], axis=1).astype(np.int8)
    logits = baselines.linear(x, truth, np.arange(200))
    assert auroc(logits[200:, 0], truth[200:, 0] == 1) > 0.95


def test_random_features_are_of_each_lead(generated: dataset.Records) -> None:
    assert baselines.random_features(generated, ["II"], 1).shape == (len(generated.name), 128)


def test_trees_alone_answer_what_was_said_of_the_records(generated: dataset.Records) -> None:
    logits = train.answers(baselines.boosting(generated), generated, np.arange(len(generated.name)), ["II", "V1"])
    truth = train.truths(generated)
    told = [k for k in range(truth.shape[1]) if 0 < (truth[truth[:, k] >= 0, k] == 1).mean() < 1]
    assert told
    for k in told:
        known = truth[:, k] >= 0
        assert auroc(logits[known, k], truth[known, k] == 1) > 0.95


def test_the_resnet_answers_for_any_leads(generated: dataset.Records) -> None:
    net = baselines.ResNet().eval()
    assert train.answers(net, generated, np.arange(3), ["V1", "II"]).shape == (3, 19)


def test_a_network_goes_on_from_weights_and_learns_slowly(
    weights_path: Path, generated: dataset.Records, tmp_path: Path
) -> None:
    sets = train.Sets([generated], np.arange(len(generated.name)))
    asked = Asked(tmp_path, tmp_path, epochs=1, start=weights_path, pretraining=0)
    before, after = train.started(weights_path), asked.fit(sets, 1)
    with torch.no_grad():
        moved = [float((a - b).abs().max()) for a, b in zip(after.parameters(), before.parameters(), strict=True)]
    assert 0 < max(moved) < 10 * train.TUNING_RATE
