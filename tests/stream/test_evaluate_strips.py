"""The score of short strips: folds, what was seen, and the challenge's mean."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ecg import strip_class, strip_fit
from ecg.strip_class import Class
from ecg.strip_features import NAMES
from model import strips as model_strips
from stream.evaluate import run, strips
from stream.evaluate.strips import confusion, decide, f1, f1_mean, reference, taught_by


def test_the_score_leaves_noise_out_of_its_mean() -> None:
    pairs: list[tuple[Class, Class]] = [("N", "N"), ("N", "A"), ("A", "A"), ("O", "O"), ("~", "N")]
    sums = confusion(pairs).sum(axis=0)[None]
    assert [float(f1(sums, name)[0]) for name in ("N", "A", "O", "~")] == pytest.approx([0.5, 2 / 3, 1.0, 0.0])
    assert float(f1_mean(sums)[0]) == pytest.approx((0.5 + 2 / 3 + 1) / 3)
    assert np.isnan(f1(np.zeros((1, 16)), "A"))


def test_a_folder_without_a_list_of_classes_has_no_strips(tmp_path: Path) -> None:
    assert reference(tmp_path) == {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hundred strips a class, each described by its class; one more that is broken."""
    known = sorted(taught_by())[:400]
    classes = {name: strip_class.CLASSES[k % 4] for k, name in enumerate(known)} | {"broken": "N"}

    def described(path: Path) -> strip_fit.Described:
        if path.name == "broken":
            raise ValueError("no header")
        found = np.zeros(len(NAMES), np.float32)
        found[:8] = strip_class.CLASSES.index(classes[path.name])
        return strip_fit.Described(path.name, found)

    (tmp_path / "REFERENCE.csv").write_text("".join(f"{name},{symbol}\n" for name, symbol in classes.items()))

    def described_with_the_network(path: Path) -> strip_fit.Described:
        return strip_fit.beside(described(path), np.zeros(strip_class.SAID, np.float16))

    monkeypatch.setattr(strip_fit, "collect", described)
    monkeypatch.setattr(model_strips, "collect", described_with_the_network)
    monkeypatch.setattr(run, "over", partial(run.over, processes=1))
    return tmp_path


def test_out_of_fold_nobody_has_seen_a_strip_and_what_could_not_be_read_is_named(folder: Path) -> None:
    failed: dict[str, str] = {}
    found = decide(folder, failed, cross_validate=True)
    assert failed == {"cinc2017/broken": "no header"}
    assert len(found) == 400
    assert {each.seen for each in found.values()} == {False}
    assert np.mean([each.decided == each.truth for each in found.values()]) > 0.7


def test_a_strip_of_which_no_answer_out_of_fold_is_kept_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = strip_class.said_out_of_fold(strip_class.SHIPPED.read_bytes())
    first = min(kept)
    monkeypatch.setattr(strip_class, "said_out_of_fold", lambda file: {k: v for k, v in kept.items() if k != first})
    failed: dict[str, str] = {}
    assert first not in decide(folder, failed, cross_validate=True)
    assert "no answer of a network" in failed[f"cinc2017/{first}"]
    assert first in decide(folder, failed, cross_validate=False)


def test_a_fold_is_judged_by_forests_that_were_grown_without_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out: list[set[str]] = []
    shown: list[list[strip_fit.Described]] = []
    grown = strip_fit.fit

    def watched(found, truth, without=()):
        left_out.append(set(without))
        shown.append(list(found))
        return grown(found, truth, without)

    monkeypatch.setattr(strip_fit, "fit", watched)
    found = decide(folder, {}, cross_validate=True)
    assert {len(each.features) for each in shown[0]} == {len(NAMES) + strip_class.SAID}
    assert len(left_out) == 5
    assert sorted(name for fold in left_out for name in fold) == sorted(found)


def test_what_the_shipped_forests_were_grown_on_is_in_sample(folder: Path) -> None:
    found = decide(folder, {}, cross_validate=False)
    assert {each.seen for each in found.values()} == {True}
    assert strips.NAMED == {"normal": "N", "af": "A", "other": "O"}
