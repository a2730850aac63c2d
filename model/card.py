"""The model card, written from what the weights say of themselves: `python -m model.card` prints `MODEL_CARD.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ecg import quality_forest
from model.labels import CLASSES

CITATIONS: dict[str, str] = {
    "mitdb": "MIT-BIH Arrhythmia Database 1.0.0, Moody and Mark, IEEE Eng. Med. Biol. 20(3), 2001; ODC-By 1.0",
    "vfdb": "MIT-BIH Malignant Ventricular Ectopy Database 1.0.0, Greenwald, M.S. thesis, MIT, 1986; ODC-By 1.0",
    "cudb": "Creighton University Ventricular Tachyarrhythmia Database 1.0.0, Nolle et al., Computers in Cardiology "
    "1986; ODC-By 1.0",
    "cinc2017": "PhysioNet/CinC Challenge 2017, Clifford et al., Computing in Cardiology 2017; ODC-By 1.0",
}
_TITLE = """# Model card: the rhythm network

Written by `python -m model.card` from the metadata of `model/weights/rhythm.safetensors`.

## What it is

A small convolutional network ({parameters:,} parameters) that looks at 10 s of one or two ECG leads, resampled to
250 Hz and denoised by Vigil's own streaming filters, and gives calibrated probabilities of
{classes}.
Every lead runs through the same filters; the order of leads has no meaning, and one lead is enough. Of a bed with more
leads it sees two (`model.weights.choose_leads`). `atrial_fibrillation` includes atrial flutter,
`ventricular_fibrillation` ventricular flutter; `other` is every rhythm but these, sinus rhythm with ectopic beats, and
asystole.

## What it is for, and not for

**It decides no alarm.** Its answer stands in the evidence of alerts and feeds a bed's risk level (`model/risk.py`),
which it lifts to `high` at most; alarms come from rules. It is no diagnosis, and was tested on the public records below
and on nobody else.

## Data

| set | records | windows | citation and licence |
| --- | --- | --- | --- |
{data}

Goldberger et al., PhysioBank, PhysioToolkit and PhysioNet, Circulation 101(23), 2000, for all. Of `mitdb` only DS1; of
`cudb` not cu14, which marks no onset. Windows every 5 s (VT and VF every 2.5 s for training only), in `cinc2017` every
10 s. Windows with some but under 4 s of VT or VF, mixtures, the 10 s before a marked onset in `cudb`, and stretches
without annotation are left out. A label may allow several classes (`model/labels.py`): the rhythm `N` of `vfdb`, which
marks no beats, allows `normal` and `other`; `cudb` outside its marks allows all but fibrillation. Such windows count in
the loss and against the classes that they exclude, and for none.

## How it was trained

- Command: `{command}`
- Commit {commit}, seed {seed}, {epochs} epochs, one thread.
- Split: {split}.
  `cinc2017` names no patients: its folds are by record.
- Versions: {versions}.
- Calibration: temperature {temperature:g} and a bias by class, fitted on answers out of fold; for the figures, on the
  other folds than the one that is scored.

## Figures, out of fold

Printed at its end by the command above. Windows, not episodes; a class by the largest probability. Fractions.

| class | windows | patients | sensitivity | specificity | F1 | AUROC |
| --- | --- | --- | --- | --- | --- | --- |
{classes_table}

`lethal` is VT or VF. Mean F1 over the classes {f1_macro:.3f}, mean AUROC {auroc_macro:.3f}, accuracy {accuracy:.3f},
expected calibration error (10 bins) {ece:.3f}.

| set | class | windows | patients | sensitivity | F1 |
| --- | --- | --- | --- | --- | --- |
{sets_table}

Specificity of `lethal` by set: {specificities}.

## Limits

- VT comes from {vt_patients} patients, one of whom (`vfdb` 611) holds 38 % of the seconds in `vfdb`; most VT is taken
  for VF or flutter. Read the row `lethal`, not the two, and take the network's word for neither of them by itself.
- `noise` and `other` are each many things. `cinc2017` has one label for a whole record of 9-61 s, so that some of its
  windows hold nothing of what their record is named for.
- The denoiser has changed since the commit above: mains goes before it, and its thresholds follow the noise more
  quickly. The weights have not been trained again, nor the figures printed again, on what it gives today.
- Episodes under 4 s are not what it was trained on.
- Paced rhythm, children, and twelve-lead beds were not seen.
- The probabilities are calibrated for the mixture of these sets, in which VT and VF are far more frequent than on a
  ward.
- The same weights give the same bits on one processor with one version of torch, whatever the batch; on another
  processor the last of the four decimals may differ.
"""


_FOREST = """
# The forest of signal quality

`ecg/quality_forest.safetensors`: is a recording of twelve leads and ten seconds acceptable to a reader? 200 trees on
211 quantities ([docs/denoising.md](docs/denoising.md)). **It decides nothing on the ward.**

- Command: `{command}`, seed {seed}, commit {commit}.
- Grown on {records} recordings of `cinc2011` (PhysioNet/CinC Challenge 2011, Silva, Moody and Celi, Computing in
  Cardiology 2011; ODC-By 1.0): phones, made by volunteers; nothing says how it does on a ward's monitors.
- Split: {split}.
- Figures: `vigil evaluate quality --cross-validate`, in [docs/evaluation.md](docs/evaluation.md).
"""


_SMALL = """
# {title}

`ecg/{file}`: {what}

- Command: `{command}`, seed {seed}, commit {commit}.
- Learned from {records}.
- Split: {split}.
- Figures: `{scorer}`, in [docs/evaluation.md](docs/evaluation.md).
"""
_SMALL_PARTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "beat_judge.safetensors",
        "The judges of beat classes",
        "is a beat ventricular, and if not, did it come early from above the ventricles? Small trees and networks "
        "together, over intervals, shape, and what is before and after the QRS. "
        "**Runs of what they call ventricular alarm as "
        "tachycardia.** `mitdb` and `svdb` are half-hours of ambulatory recordings of the 1980s; paced beats and "
        "children are not in them.",
        "vigil evaluate ec57 --cross-validate",
    ),
    (
        "beat_doubt.safetensors",
        "The forest that doubts beats",
        "is what looks like a beat one, or electrode motion? 150 small trees over the same quantities as the judges. "
        "Asked only of complexes unlike the normal beat, never in a regular fast ventricular run, nor before a normal "
        "beat is known. What it refuses can still be taken by search-back, so that it makes no standstill.",
        "vigil evaluate ec57 --noise em",
    ),
    (
        "atrial_weights.safetensors",
        "The weights for atrial fibrillation",
        "a network of 42 features of the last 16, 40 and 100 intervals, two hidden layers of 24, one answer. "
        "**It decides the alarm of atrial fibrillation**, of medium priority. It sees no P wave: flutter with a fixed "
        "block is regular to it, frequent early beats may not be.",
        "vigil evaluate rhythm --cross-validate",
    ),
    (
        "strip_forest.safetensors",
        "The forests of short strips",
        "is a strip of one lead normal, atrial fibrillation, another rhythm, or noise? Four forests over 91 "
        "quantities. **They decide nothing on the ward.** Strips were held between two hands, and named by people who "
        "disagreed often.",
        "vigil evaluate rhythm --cross-validate",
    ),
)


def card(metadata: Mapping[str, Any], parameters: int) -> str:
    """Return the model card as Markdown.

    Parameters
    ----------
    metadata : mapping
        As `model.weights.Classifier.metadata` has it.
    parameters : int
        Number of trained parameters.
    """
    figures = metadata["figures"]
    return _TITLE.format(
        parameters=parameters,
        classes=", ".join(f"`{name}`" for name in CLASSES),
        data="\n".join(_data(metadata, name) for name in metadata["records"]),
        versions=", ".join(f"{name} {value}" for name, value in metadata["versions"].items()),
        classes_table="\n".join(_row(figures, name) for name in (*CLASSES, "lethal")),
        sets_table="\n".join(_set_rows(figures, metadata["records"])),
        specificities=", ".join(
            f"{name} {figures[key]:.4f}"
            for name in metadata["records"]
            if (key := f"specificity_lethal_{name}") in figures
        ),
        vt_patients=figures["patients_ventricular_tachycardia"],
        **{name: metadata[name] for name in ("command", "commit", "seed", "epochs", "split", "temperature")},
        **{name: figures[name] for name in ("f1_macro", "auroc_macro", "accuracy", "ece")},
    )


def forest_card(made: Mapping[str, Any]) -> str:
    """Return what the card says of the forest of signal quality; `made` is as `ecg.quality_forest.made` gives it."""
    records = sum(len(names) for names in made["records"].values())
    return _FOREST.format(records=records, **{name: made[name] for name in ("command", "commit", "seed", "split")})


def small_cards() -> str:
    """Return what the card says of the other weights that are committed beside the code that uses them."""
    folder, out = quality_forest.SHIPPED.parent, []
    for file, title, what, scorer in _SMALL_PARTS:
        made = quality_forest.made((folder / file).read_bytes())
        told = {name: made[name] for name in ("command", "commit", "split")}
        seed = made["seed"] if "seed" in made else ", ".join(map(str, made["seeds"]))
        records = _counted(made["records"])
        out.append(_SMALL.format(title=title, file=file, what=what, records=records, scorer=scorer, seed=seed, **told))
    return "".join(out)


def _counted(records: Mapping[str, Sequence[str]] | Sequence[str]) -> str:
    """Return how many records there are of each set, of names by set or of `<set>/<name>`."""
    if isinstance(records, Mapping):
        counts = {name: len(names) for name, names in records.items()}
    else:
        counts = Counter(name.partition("/")[0] for name in records)
    return ", ".join(f"{n} records of `{name}`" for name, n in counts.items())


def _data(metadata: Mapping[str, Any], name: str) -> str:
    return f"| `{name}` | {len(metadata['records'][name])} | {metadata['windows'][name]} | {CITATIONS[name]} |"


def _row(figures: Mapping[str, float], name: str) -> str:
    counts = f"{figures[f'windows_{name}']} | {figures[f'patients_{name}']}"
    scores = " | ".join(f"{figures[f'{kind}_{name}']:.3f}" for kind in ("sensitivity", "specificity", "f1", "auroc"))
    return f"| `{name}` | {counts} | {scores} |"


def _set_rows(figures: Mapping[str, float], sets: Mapping[str, object]) -> list[str]:
    return [
        f"| `{of}` | `{name}` | {figures[f'windows_{name}_{of}']} | {figures[f'patients_{name}_{of}']} | "
        f"{figures[f'sensitivity_{name}_{of}']:.3f} | {figures[f'f1_{name}_{of}']:.3f} |"
        for of in sets
        for name in (*CLASSES, "lethal")
        if f"windows_{name}_{of}" in figures
    ]


if __name__ == "__main__":
    from model.weights import load, shipped

    shown = load(shipped())
    print(card(shown.metadata, shown.parameters), end="")
    print(forest_card(quality_forest.made(quality_forest.SHIPPED.read_bytes())), end="")
    print(small_cards(), end="")
