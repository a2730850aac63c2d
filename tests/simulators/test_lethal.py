"""Lethal events: the same from the same seed, in noise of the stated size, and with a lead that fails before them."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.lethal import BEFORE_S, EVENT_S, FAILS_S, KINDS, event, failing, generated_noise, noisy
from simulators.source import Source


def mv(source: Source) -> np.ndarray:
    return source.mv(0, source.n_samples)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_follows_from_its_kind_and_seed(kind: str) -> None:
    one, two, other = event(kind, 1), event(kind, 1), event(kind, 2)
    assert (one.condition, one.onset_s) == (kind, two.onset_s)
    assert np.array_equal(one.source.counts, two.source.counts)
    assert not np.array_equal(one.source.counts, other.source.counts)
    assert BEFORE_S - 1.1 < one.onset_s <= BEFORE_S
    assert one.source.n_samples / one.source.rate_hz == BEFORE_S + EVENT_S
    assert one.source.loop_to is None


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"kind must be one of asystole, .*, got 'hiccup'"):
        event("hiccup", 0)


def test_noise_has_its_ratio_to_the_qrs_in_each_lead() -> None:
    given = event("asystole", 0)
    made = mv(noisy(given, generated_noise("muscle", given, 0), 12.0).source) - mv(given.source)
    for lead, added in zip(mv(given.source), made, strict=True):
        size = np.percentile(lead[:7500], 99.8) - np.percentile(lead[:7500], 0.2)
        ratio = 10 * np.log10(size**2 / 8 / np.mean(added.astype(float) ** 2))
        assert ratio == pytest.approx(12.0, abs=0.1)


@pytest.mark.parametrize("how", ["flat", "lead_off", "dropout"])
def test_one_lead_fails_before_the_event_and_the_other_does_not(how: str) -> None:
    given = event("ventricular_tachycardia", 3)
    failed = failing(given, 1, how)  # pyright: ignore[reportArgumentType]
    first = round(FAILS_S * given.source.rate_hz)
    assert np.array_equal(failed.source.counts[0], given.source.counts[0])
    assert np.ptp(failed.source.counts[1, first:].astype(int)) == 0
    assert np.array_equal(failed.source.counts[1, :first], given.source.counts[1, :first])
    assert (failed.source.off is not None) == (how == "lead_off")
