"""Weights of the network in a file, and the answers that come of them: the same bits whatever the batch.

Safetensors whose metadata says how they were made (`ecg.weights_file`), with the calibration of each set of leads. Its
name in the log is the sha256 of its bytes. A window is answered in two steps, so that overlapping windows share the
first: `encode` runs the stem over chunks of two seconds of each lead alone and cuts their beats, `answer` lets the five
chunks of a window and its leads meet. Each runs in batches of one fixed shape, padded with empty ones, on one thread.
"""

from __future__ import annotations

import functools
import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray

from ecg import weights_file
from ecg.lead import STANDARD
from ecg.window import CHUNKS
from model.commit import commit
from model.crossval import NET, WINDOWS, Answers, Asked, Material, out_of_fold, probabilities
from model.frontend import CHUNK_TOKENS, STEPS, Chunks, chunks, clean, cut, last_span
from model.labels import CONDITIONS, RHYTHMS
from model.measured import BEAT, SPREAD, spread, steepest
from model.monitors import counted
from model.net import ANY_LEAD, FEATURES, PULSES, WIDTH, Leads, Net, Tokens, folded, place
from model.score import OUTPUTS, Softmax, calibrate, calibrated, conformal, covered
from model.train import LEAD_SETS, Show, person, truths

FORMAT = "vigil-net-3"
FOLD = "fold-{}.safetensors"
"""Name of the file in which the network of a fold is kept."""
DECIMALS = 4
"""Probabilities are rounded to this, so that nothing is compared with a threshold by its last bits."""
CHUNK_BATCH = 64
"""Chunks that the stem takes together."""
SLOTS: dict[int, int] = {leads: 32 if leads <= 2 else 16 if leads <= 4 else 8 for leads in range(1, len(STANDARD) + 1)}
"""Windows that are answered together, by number of leads."""
FEW = 6
"""With this many leads and more an answer is calibrated as one of twelve leads is; with fewer as one of two, or one."""
ANSWERS: tuple[str, ...] = ("normal", *CONDITIONS, *RHYTHMS)
"""What the pipeline is told."""
_TOLD = [(*OUTPUTS, *RHYTHMS).index(f"condition_{name}" if name in CONDITIONS else name) for name in ANSWERS]


class Encoded(NamedTuple):
    """A chunk of some leads behind the stem, float32: (l, 5, 64), (l, 50, 4), (l, 37), (l, 20), (l,) and (l, 5)."""

    tokens: NDArray[np.float32]
    pulse: NDArray[np.float32]
    beat: NDArray[np.float32]
    spread: NDArray[np.float32]
    level: NDArray[np.float32]
    mask: NDArray[np.float32]


class Network:
    """A trained network, ready to answer; made by `load` or `load_bytes`.

    Attributes
    ----------
    sha256 : str
        Hash of the file's bytes.
    made : dict
        How it was made: command, commit, seed, split, records, versions, calibration.
    parameters : int
        Number of trained parameters.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], made: Mapping[str, Any], sha256: str) -> None:
        self.sha256, self.made = sha256, dict(made)
        self._platt = {of: np.array(fitted) for of, fitted in self.made["calibration"].items()}
        temperature, bias = self.made["rhythm_calibration"]
        self._softmax = Softmax(float(temperature), tuple(bias))
        net = _of_tensors(tensors)
        self.parameters = sum(p.numel() for p in net.parameters())
        self.net = folded(net)

    def encode(self, cut_mv: Sequence[NDArray[np.float32]], leads: Sequence[Sequence[str]]) -> list[Encoded]:
        """Run the stem over chunks of beds, each lead alone, and cut out their beats.

        Parameters
        ----------
        cut_mv : sequence of ndarrays of float32, shape (leads, 700)
            As `frontend.chunks` takes them; each of the leads of one bed, or of one window.
        leads : sequence of sequences of str
            As of `answer`, of each.
        """
        if not len(cut_mv):
            return []
        with _one_thread():
            parts = chunks(np.concatenate(cut_mv))
        return self.encoded(parts, leads)

    def encoded(self, parts: Chunks, leads: Sequence[Sequence[str]]) -> list[Encoded]:
        """Run the stem over chunks that `frontend.chunks` gave of such leads, all in a row."""
        first = np.cumsum([0, *map(len, leads)])
        rows = [at + _order(tuple(names))[0] for at, names in zip(first.tolist(), leads, strict=False)]
        sizes = np.array([len(each) for each in rows], np.int64)
        taken, last = np.concatenate(rows), np.cumsum(sizes)
        wave, morlet, level, mask = (torch.from_numpy(part[taken]).float().numpy() for part in parts)
        n = len(wave)
        tokens, pulse = np.empty((n, CHUNK_TOKENS, WIDTH), np.float32), np.empty((n, STEPS, PULSES), np.float32)
        beat, wide = np.empty((n, len(BEAT)), np.float32), np.empty((n, SPREAD), np.float32)
        with _one_thread():
            for at in range(0, n, CHUNK_BATCH):
                some = slice(at, at + CHUNK_BATCH)
                batch = _padded(wave[some], CHUNK_BATCH), _padded(morlet[some], CHUNK_BATCH)
                for into, found in zip((tokens, pulse, wide), (*self.net.stem(*batch), spread(*batch)), strict=True):
                    into[some] = found.numpy()[: n - at]
            for many in np.unique(sizes):
                mine = (last[sizes == many] - many)[:, None] + np.arange(many)
                beat[mine] = steepest(torch.from_numpy(wave[mine])).numpy()
        whole = tokens, pulse, beat, wide, level, mask
        return [
            Encoded(*(x[at - size : at] for x in whole)) for at, size in zip(last.tolist(), sizes.tolist(), strict=True)
        ]

    def answer(self, windows: Sequence[Sequence[Encoded]], leads: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Answer for windows of five encoded chunks.

        Parameters
        ----------
        windows : sequence of sequences of Encoded
            Five of each window, in order, of the same leads.
        leads : sequence of sequences of str
            Names of each window's leads, in any order and spelling; of more than twelve those that are known go first.

        Returns
        -------
        ndarray of float32, shape (n, 19)
            Logits: of `score.OUTPUTS`, then of the rhythms.
        """

        def heads(x: Tokens, batch: Leads) -> torch.Tensor:
            return self.net.answer(x, batch).joined()

        return self._in_batches(heads, len(OUTPUTS) + len(RHYTHMS), windows, leads)

    def features(self, windows: Sequence[Sequence[Encoded]], leads: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Return what the heads answer from, (n, 128); parameters as of `answer`."""
        return self._in_batches(self.net.features, FEATURES, windows, leads)

    def _in_batches(
        self,
        run: Callable[[Tokens, Leads], torch.Tensor],
        width: int,
        windows: Sequence[Sequence[Encoded]],
        leads: Sequence[Sequence[str]],
    ) -> NDArray[np.float32]:
        places = [_order(tuple(names))[1] for names in leads]
        many = np.array([len(each) for each in places], np.int64)
        out = np.empty((len(windows), width), np.float32)
        with _one_thread():
            for n in np.unique(many):
                mine, slots = np.flatnonzero(many == n), SLOTS[int(n)]
                for first in range(0, len(mine), slots):
                    some = mine[first : first + slots]
                    batch = _batch([windows[k] for k in some], [places[k] for k in some], slots)
                    out[some] = run(*batch).numpy()[: len(some)]
        return out

    def probabilities(self, logits: NDArray[np.float32], leads: Sequence[str]) -> NDArray[np.float64]:
        """Return calibrated probabilities of what windows of some leads were answered, in the order of the logits."""
        return self._calibrated(logits, _nearest(leads))

    def _calibrated(self, logits: NDArray[np.float32], of: str) -> NDArray[np.float64]:
        told = calibrated(logits[:, : len(OUTPUTS)], self._platt[of])
        return np.concatenate([told, self._softmax.apply(logits[:, len(OUTPUTS) :])], axis=1)

    def sets(self, said: NDArray[np.float64], leads: Sequence[str]) -> NDArray[np.bool_]:
        """Return whether "no" and "yes" are in the conformal sets of probabilities (n, 11), shape (n, 11, 2)."""
        return covered(said, np.array(self.made["conformal"][_nearest(leads)]))

    def classify(self, windows: Sequence[Sequence[Encoded]], leads: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """Answer for windows of many beds, by name of `ANSWERS`; parameters as of `answer`."""
        logits, nearest = self.answer(windows, leads), np.array([_nearest(each) for each in leads], object)
        rows = np.empty((len(windows), len(ANSWERS)))
        for of in set(nearest):
            mine = nearest == of
            rows[mine] = np.round(self._calibrated(logits[mine], of)[:, _TOLD], DECIMALS)
        return [dict(zip(ANSWERS, row, strict=True)) for row in rows.tolist()]

    def logits(self, span_mv: NDArray[np.float32], leads: Sequence[str]) -> NDArray[np.float32]:
        """Answer from scratch for windows of clean signal, (n, leads, 2700) at 250 Hz, NaN where missing: (n, 19)."""
        return self.answer(self._windows(span_mv, leads), [leads] * len(span_mv))

    def rhythm_logits(self, span_mv: NDArray[np.float32], leads: Sequence[str]) -> NDArray[np.float32]:
        """Return the logits of the rhythms alone, (n, 8); parameters as of `logits`."""
        return self.logits(span_mv, leads)[:, len(OUTPUTS) :]

    def features_of(self, span_mv: NDArray[np.float32], leads: Sequence[str]) -> NDArray[np.float32]:
        """Return what the heads answer from, (n, 128); parameters as of `logits`."""
        return self.features(self._windows(span_mv, leads), [leads] * len(span_mv))

    def _windows(self, span_mv: NDArray[np.float32], leads: Sequence[str]) -> list[list[Encoded]]:
        cuts = cut(span_mv).swapaxes(1, 2)  # (window, chunk, lead, 700)
        return windows_of(self.encode(list(cuts.reshape(-1, *cuts.shape[2:])), [leads] * (CHUNKS * len(cuts))))

    def predict(self, signal_mv: NDArray[np.floating], rate_hz: float, leads: Sequence[str]) -> dict[str, float]:
        """Answer for the last 10.8 s of a recording, by name of the output.

        Parameters
        ----------
        signal_mv : ndarray, shape (leads, samples)
            In mV as it was recorded, NaN where missing, of 3 s and more.
        rate_hz : float
        leads : sequence of str
            Name of each, in any order and spelling; one that the network does not know is any other lead.

        Raises
        ------
        ValueError
            The signal has another number of leads than names, or none, or its rate is none of 100 to 1000 Hz.
        """
        x = np.asarray(signal_mv, np.float32)
        if x.ndim != 2 or not len(leads) or len(x) != len(leads):
            raise ValueError(f"signal_mv must be (leads, samples) with {len(leads)} leads, at least 1, got {x.shape}")
        said = self.probabilities(self.logits(last_span(clean(x, rate_hz))[None], leads), leads)[0]
        return {name: round(float(p), DECIMALS) for name, p in zip((*OUTPUTS, *RHYTHMS), said, strict=True)}


def network_of_fold(file: Path) -> Net:
    """Return the network whose tensors a run of folds kept (`crossval.Asked.network`), ready to answer."""
    return folded(_of_tensors(safetensors.numpy.load_file(file)))


def _of_tensors(tensors: Mapping[str, NDArray[Any]]) -> Net:
    net = Net()
    net.load_state_dict({name: torch.from_numpy(np.array(held)) for name, held in tensors.items()})
    return net.eval()


def windows_of(found: Sequence[Encoded]) -> list[list[Encoded]]:
    """Cut chunks in a row into windows of five."""
    return [list(found[first : first + CHUNKS]) for first in range(0, len(found), CHUNKS)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread, without a thought for gradients: sums come in one order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


def _padded(part: NDArray[np.float32], n: int) -> torch.Tensor:
    """Return rows with as many of zeros behind them as make n."""
    if len(part) == n:
        return torch.from_numpy(part)
    out = np.zeros((n, *part.shape[1:]), np.float32)
    out[: len(part)] = part
    return torch.from_numpy(out)


@functools.lru_cache(maxsize=4096)
def _order(leads: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the leads that are taken, known ones first and in the usual order, and their places."""
    places = np.array([place(name) for name in leads], np.int64)
    rows = np.argsort(places, kind="stable")[: len(STANDARD)]
    return rows, places[rows]


def _batch(
    windows: Sequence[Sequence[Encoded]], places: Sequence[NDArray[np.int64]], slots: int
) -> tuple[Tokens, Leads]:
    """Return windows of as many leads as the network takes them behind its stem, with empty ones up to `slots`."""

    def stacked(field: int) -> NDArray[np.float32]:
        found = np.stack([chunk[field] for window in windows for chunk in window])  # (n * 5, l, ...)
        parts = found.reshape(len(windows), CHUNKS, *found.shape[1:]).swapaxes(1, 2)
        return np.ascontiguousarray(parts)  # (n, l, 5, ...)

    tokens, pulse, beat, wide, level, mask = (_padded(stacked(field), slots) for field in range(len(Encoded._fields)))
    lead = np.full((slots, len(places[0])), ANY_LEAD, np.int64)
    lead[: len(places)] = places
    none, nobody = torch.empty(0), np.full(slots, np.nan, np.float32)
    leads = Leads(none, none, level, mask.flatten(2), torch.from_numpy(lead), torch.ones(slots), person(nobody, nobody))
    return Tokens(tokens.flatten(2, 3), pulse, beat, wide), leads


def _nearest(leads: Sequence[str]) -> str:
    """Return the set of leads whose calibration an answer takes."""
    if len(leads) == 1:
        return "i" if place(leads[0]) == place("I") else "ii"
    return "12" if len(leads) >= FEW else "ii_v1"


def make(
    asked: Asked, held: Material, command: str, figures: Callable[[dict[str, Answers]], dict[str, Any]], show: Show
) -> bytes:
    """Train on all records, calibrate on answers out of fold, and return a file of weights that tells `figures`."""
    answers = out_of_fold(asked, held, [NET], show, whole=True)
    learned = safetensors.numpy.load_file(asked.network(asked.folds))
    every = np.arange(len(held.record_fold)), np.arange(len(held.window_fold))
    base = None if asked.start is None else load(asked.start)
    made = {
        "command": command,
        "split": f"{asked.folds} folds by patient for the figures and the calibration; the weights are trained on all",
        "from": None if base is None else base.sha256,
        "figures": figures(answers),
    }
    return weights_file.pack(
        learned, _made(asked, held, answers[NET], *every, {} if base is None else base.made) | made
    )


def keep_folds(asked: Asked, held: Material, logits: Answers, command: str) -> None:
    """Write the network of each fold into the folder of work, calibrated on the answers of the other folds.

    Parameters
    ----------
    asked, held
        As of `crossval.out_of_fold`, whose answers of the network `logits` are.
    command : str
    """
    for k in range(asked.folds):
        if not asked.network(k).is_file():  # answers of before networks were kept
            continue
        learned = safetensors.numpy.load_file(asked.network(k))
        others = held.without(k)
        made = {
            "command": command,
            "split": f"without fold {k + 1} of {asked.folds} by patient",
            "from": None,
            "figures": {},
        }
        kept = weights_file.pack(learned, _made(asked, held, logits, others.rows, others.seen, {}) | made)
        (asked.work / FOLD.format(k + 1)).write_bytes(kept)


def _made(
    asked: Asked,
    held: Material,
    logits: Answers,
    records: NDArray[np.int64],
    windows: NDArray[np.int64],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """Return how weights were made from some records and windows, calibrated on answers to these out of fold."""
    truth, fold = truths(held.copies[0])[records], held.record_fold[records]
    rhythm = before.get("rhythm_calibration", (1.0, (0.0,) * len(RHYTHMS)))
    patients: list[str] = []
    if held.windows is not None:
        used = windows[counted(held.windows)[windows]]
        rhythm = Softmax.fit(logits[WINDOWS][used, len(OUTPUTS) :], held.windows.rhythm[used])
        patients = np.unique(held.windows.patient[windows]).tolist()
    told = {of: probabilities(logits[of][records], truth, fold) for of in LEAD_SETS}
    return {
        "format": FORMAT,
        "commit": commit(),
        "seed": asked.seed,
        "epochs": asked.epochs,
        "pretraining": asked.pretraining,
        "records": sorted({*before.get("records", ()), *held.copies[0].name[records].tolist()}),
        "monitors": sorted({*before.get("monitors", ()), *patients}),
        "calibration": {of: calibrate(logits[of][records, : len(OUTPUTS)], truth).tolist() for of in LEAD_SETS},
        "rhythm_calibration": list(rhythm),
        "conformal": {of: conformal(said, truth).tolist() for of, said in told.items()},
        "versions": {name: version(name) for name in ("numpy", "scipy", "torch", "numba", "safetensors")}
        | {"python": platform.python_version()},
    }


def load(path: Path | str) -> Network:
    """Load a file of weights.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not one of this network's.
    """
    return load_bytes(Path(path).read_bytes())


def load_bytes(kept: bytes) -> Network:
    """Load weights from the bytes of a file; raises ValueError where they are not this network's."""
    made = weights_file.made(kept)
    if made.get("format") != FORMAT:
        raise ValueError(f"weights must be a {FORMAT} file, got {made.get('format')!r}")
    try:
        return Network(safetensors.numpy.load(kept), made, hashlib.sha256(kept).hexdigest())
    except (KeyError, TypeError, RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"weights must be a {FORMAT} file: {error}") from error


def shipped() -> Path:
    """Return where the weights that come with Vigil lie."""
    return Path(str(files("model"))) / "weights" / "net.safetensors"
