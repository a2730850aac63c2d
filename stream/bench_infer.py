"""`vigil bench infer`: windows a second a core of the shipped network, against the arithmetic peak of the same run.

From scratch every window runs its five chunks through the stem; with reuse, as in the running pipeline, one. Front end,
stem, what comes behind it and calibration are all in the time. The peak is that of a large product of matrices. Each
figure is the best of several turns: the others were disturbed. Beside it stands what comes behind the stem with its
linear layers in 8-bit integers, scaled as they come, and by how much that moves a logit.
"""

from __future__ import annotations

import copy
import sys
import time
import warnings
from collections.abc import Callable

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.ao.quantization import quantize_dynamic
from torch.utils.flop_counter import FlopCounterMode

from ecg.lead import STANDARD
from ecg.resample import ANALYSIS_HZ
from ecg.window import CHUNKS, SPAN
from model.frontend import BANK, REACH, STEPS, TOKENS, WAVE, chunks, cut
from model.net import Leads, Net
from model.weights import Network, load, shipped, windows_of
from simulators.heart import Heart

WINDOWS, TURNS, SIDE = 128, 7, 1024
SETS: dict[str, tuple[str, ...]] = {"2": ("II", "V1"), "12": STANDARD}


def infer(*, json: bool, turns: int = TURNS) -> int:
    """Measure, and print what came of it; returns the exit status."""
    torch.set_num_threads(1)
    network = load(shipped())
    peak = _peak(turns)
    found: dict[str, float] = {"gflops_peak": round(peak, 1), "parameters": network.parameters}
    for of, leads in SETS.items():
        found |= {f"{name}_{of}_leads": value for name, value in _measured(network, leads, turns, peak).items()}
    if json:
        print(msgspec.json.encode({"figures": found}).decode())
    else:
        print("\n".join(f"{name:36} {value:g}" for name, value in found.items()))
    print("one core, best of several turns; others at work on this machine make it slower", file=sys.stderr)
    return 0


def _measured(network: Network, leads: tuple[str, ...], turns: int, peak: float) -> dict[str, float]:
    span_mv = _windows(leads)
    cuts = cut(span_mv).swapaxes(1, 2)  # (window, chunk, lead, 700)
    last = list(cuts[:, -1])
    windows = windows_of(network.encode(list(cuts.reshape(-1, len(leads), REACH)), [leads] * CHUNKS * len(cuts)))

    def again() -> None:
        """Answer for windows of which four chunks are encoded already."""
        network.encode(last, [leads] * len(last))
        network.probabilities(network.answer(windows, [leads] * len(windows)), leads)

    scratch = _best(lambda: network.probabilities(network.logits(span_mv, leads), leads), turns) / WINDOWS
    reused, front = _best(again, turns) / WINDOWS, _best(lambda: chunks(np.concatenate(last)), turns) / WINDOWS
    mflop = _flop(network.net, len(leads)) / 1e6
    integer = _in_integers(network)
    answers = [each.answer(windows, [leads] * len(windows)) for each in (network, integer)]
    plain, eight = (
        _best(lambda net=net: net.answer(windows, [leads] * len(windows)), turns) / WINDOWS
        for net in (network, integer)
    )
    return {
        "us_a_window": round(1e6 * scratch, 1),
        "us_a_window_reused": round(1e6 * reused, 1),
        "us_front_end_a_hop": round(1e6 * front, 1),
        "us_behind_the_stem": round(1e6 * plain, 1),
        "us_behind_the_stem_int8": round(1e6 * eight, 1),
        "int8_moves_a_logit": round(float(np.abs(answers[0] - answers[1]).max()), 3),
        "windows_a_second": round(1 / scratch),
        "work_saved": round(scratch / reused, 2),
        "mflop_a_window": round(mflop, 2),
        "share_of_peak": round(mflop / 1e3 / scratch / peak, 3),
    }


def _in_integers(network: Network) -> Network:
    """Return the network with its linear layers in 8-bit integers."""
    out = copy.copy(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        out.net = quantize_dynamic(network.net, {nn.Linear}, dtype=torch.qint8)
    return out


def _windows(leads: tuple[str, ...]) -> NDArray[np.float32]:
    """Return windows of generated hearts, (n, leads, 2700)."""
    heart = Heart([("sinus", 120.0, {}), ("ventricular_tachycardia", 60.0, {})], leads, float(ANALYSIS_HZ), seed=1)
    mv = heart.samples(0, 180 * ANALYSIS_HZ).astype(np.float32)
    starts = np.linspace(0, mv.shape[1] - SPAN, WINDOWS).astype(int)
    return np.stack([mv[:, first : first + SPAN] for first in starts])


def _flop(net: Net, leads: int) -> float:
    """Count the operations of one window from scratch, without the front end."""
    wave, morlet = torch.ones(1, leads, CHUNKS, WAVE), torch.ones(1, leads, CHUNKS, BANK.bands, STEPS)
    level, mask = torch.ones(1, leads, CHUNKS), torch.ones(1, leads, TOKENS)
    one, nobody = torch.ones(1), torch.zeros(1, 4)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        net(Leads(wave, morlet, level, mask, torch.arange(leads)[None], one, nobody))
    return counter.get_total_flops()


def _best(run: Callable[[], object], turns: int) -> float:
    run()
    spent = []
    for _ in range(turns):
        began = time.process_time()
        run()
        spent.append(time.process_time() - began)
    return min(spent)


def _peak(turns: int) -> float:
    """Return the fastest that a product of single-precision matrices ran at on one core, in GFLOP a second."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return 2 * SIDE**3 / _best(lambda: a @ b, turns) / 1e9
