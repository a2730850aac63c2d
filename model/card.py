"""The model card, written from what the weights say of themselves: `python -m model.card` prints `MODEL_CARD.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ecg import quality_forest
from model.labels import CONDITIONS, RHYTHMS
from model.risk import markdown
from model.score import OUTPUTS

CITATIONS: dict[str, str] = {
    "ptbxl": "PTB-XL 1.0.3, Wagner et al., Scientific Data 7(1), 2020, doi:10.1038/s41597-020-0495-6; CC-BY 4.0",
    "ptbxl_zscored": "rows of PTB-XL at 100 Hz, each lead scaled to its mean and deviation; CC-BY 4.0",
    "mitdb": "MIT-BIH Arrhythmia Database 1.0.0, Moody and Mark, IEEE Eng. Med. Biol. 20(3), 2001; ODC-By 1.0",
    "vfdb": "MIT-BIH Malignant Ventricular Ectopy Database 1.0.0, Greenwald, M.S. thesis, MIT, 1986; ODC-By 1.0",
    "cudb": "Creighton University Ventricular Tachyarrhythmia Database 1.0.0, Nolle et al., Computers in Cardiology "
    "1986; ODC-By 1.0",
    "cinc2017": "PhysioNet/CinC Challenge 2017, Clifford et al., Computing in Cardiology 2017; ODC-By 1.0",
}
_TITLE = """# Model card: the network

Written by `python -m model.card` from the metadata of `model/weights/net.safetensors`.

## What it is

A network of {parameters:,} parameters (`model/net.py`, [docs/diagnosis.md](docs/diagnosis.md)), and boosted trees over
measured beats beside it (`model/measured.py`) whose log-odds count half but for the rhythm. They look at 10 s of
one to twelve ECG leads, in any order, resampled to 250 Hz and denoised by Vigil's own streaming filters, and give
calibrated probabilities: is the ECG normal, and if not, what is abnormal ({conditions}); which rhythm is it
({rhythms}). PTB-XL's five superclasses are read out beside that, for the benchmark. `atrial_fibrillation` includes
atrial flutter, `ventricular_fibrillation` ventricular flutter.

## What it is for, and not for

**It raises no alarm, and touches no lethal one.** Its answer stands in the evidence of alerts and feeds a bed's risk
level, which it lifts to `high` at most; alarms come from rules, of which it may withhold one of medium priority:

{part}

It is no diagnosis, and was tested on the public records below and on nobody else.

## Data

| set | records | citation and licence |
| --- | --- | --- |
{data}

Goldberger et al., PhysioBank, PhysioToolkit and PhysioNet, Circulation 101(23), 2000, for all. Of `mitdb` only DS1; of
`cudb` not cu14, which marks no onset. Windows of monitors every 5 s (VT and VF every 2.5 s for training only), in
`cinc2017` every 10 s. A label may allow several rhythms (`model/rhythms.py`): such windows count in the loss and
against the rhythms that they exclude, and for none.

## How it was trained

- Command: `{command}`
- Commit {commit}, seed {seed}, {epochs} epochs after {pretraining} without labels, each network on one thread.
- Split: {split}. `cinc2017` names no patients: its folds are by record; nor do rows of `ptbxl_zscored`.
- Versions: {versions}.
- Calibration: of each condition a slope and a shift by set of leads, of the rhythms a temperature and shifts, fitted on
  answers out of fold; for the figures, on the other folds than the one that is scored.

## Figures, out of fold

Fractions, with 95 % intervals by bootstrap over patients. Names that end in `_raw` are of `ptbxl`, the others of
`ptbxl_zscored`.

| | |
| --- | --- |
{figures}

| output | records | positive | AUROC | F1 | calibration error | Brier skill |
| --- | --- | --- | --- | --- | --- | --- |
{outputs}

Windows of monitors, a rhythm by the largest probability:

| rhythm | windows | patients | sensitivity | specificity | F1 | AUROC |
| --- | --- | --- | --- | --- | --- | --- |
{rhythm_table}

| set | rhythm | windows | patients | sensitivity | F1 |
| --- | --- | --- | --- | --- | --- |
{sets_table}

`lethal` is VT or VF. Mean F1 over rhythms with at least three patients, none of whom holds over half the windows:
{f1:.3f}; calibration error (10 bins) {ece:.3f}.

## Limits

- PTB-XL is one device maker's and one country's; its z-scored rows lost their amplitude, on which hypertrophy rests.
- VT comes from few patients, one of whom (`vfdb` 611) holds 38 % of the seconds in `vfdb`. Read the row `lethal`, not
  the two, and take the network's word for neither of them by itself.
- `cinc2017` has one label for a whole record of 9-61 s, so that some of its windows hold nothing of what their record
  is named for.
- Episodes under 4 s are not what it was trained on. Paced rhythm and asystole have few windows; children were not seen.
- The probabilities are calibrated for the mixture of these sets, in which disease, VT and VF are far more frequent than
  on a ward.
- The same weights give the same bits on one processor with one version of torch, whatever the batch; on another
  processor the last of the four decimals may differ.
"""
_HEADLINES = (
    "auroc_superclass_macro",
    "auroc_superclass_macro_raw",
    "auroc_normal",
    "auroc_normal_raw",
    "auroc_superclass_macro_leads_ii_v1",
    "auroc_superclass_macro_lead_ii",
    "auroc_superclass_macro_lead_i",
    "auroc_superclass_macro_lead_ii_raw",
    "auroc_superclass_macro_lead_i_raw",
    "ece",
)


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
        "quantities and 30 that pool what the network says of the strip's windows; the file holds those that they were "
        "grown on, by networks that had not learned from the strip, and belongs to the network above: with another, "
        "grow them anew. **They decide nothing on the ward.** Strips were held between two hands, and named by people "
        "who disagreed often.",
        "vigil evaluate rhythm --cross-validate",
    ),
)


def card(made: Mapping[str, Any], parameters: int) -> str:
    """Return the model card as Markdown.

    Parameters
    ----------
    made : mapping
        As `model.weights.Network.made` has it.
    parameters : int
        Number of trained parameters.
    """
    values, intervals = made["figures"]["figures"], made["figures"]["intervals"]
    records = Counter(name.partition("/")[0] for name in (*made["records"], *made["monitors"]))
    return _TITLE.format(
        parameters=parameters,
        conditions=", ".join(name.replace("_", " ") for name in CONDITIONS),
        rhythms=", ".join(f"`{name}`" for name in RHYTHMS),
        part=markdown(),
        data="\n".join(f"| `{name}` | {n} | {CITATIONS[name]} |" for name, n in records.items()),
        versions=", ".join(f"{name} {value}" for name, value in made["versions"].items()),
        figures="\n".join(_figure(name, values, intervals) for name in _HEADLINES if name in values),
        outputs="\n".join(_output(name, values) for name in OUTPUTS),
        rhythm_table="\n".join(_row(values, name) for name in (*RHYTHMS, "lethal")),
        sets_table="\n".join(_set_rows(values, sorted(records))),
        f1=values["rhythm_f1_macro_counted"],
        ece=values["rhythm_ece"],
        **{name: made[name] for name in ("command", "commit", "seed", "epochs", "pretraining", "split")},
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


def _figure(name: str, values: Mapping[str, float], intervals: Mapping[str, Sequence[float]]) -> str:
    return f"| `{name}` | {values[name]:.3f} ({intervals[name][0]:.3f}-{intervals[name][1]:.3f}) |"


def _output(name: str, values: Mapping[str, float]) -> str:
    counts = f"{values[f'records_{name}']:.0f} | {values[f'positives_{name}']:.0f}"
    return (
        f"| `{name}` | {counts} | "
        + " | ".join(_shown(values, f"{kind}_{name}") for kind in ("auroc", "f1", "ece", "brier_skill"))
        + " |"
    )


def _shown(values: Mapping[str, float], name: str) -> str:
    return f"{values[name]:.3f}" if name in values else ""


def _row(values: Mapping[str, float], name: str) -> str:
    counts = f"{values[f'rhythm_windows_{name}']:.0f} | {values[f'rhythm_patients_{name}']:.0f}"
    kinds = ("sensitivity", "specificity", "f1", "auroc")
    return f"| `{name}` | {counts} | " + " | ".join(_shown(values, f"rhythm_{kind}_{name}") for kind in kinds) + " |"


def _set_rows(values: Mapping[str, float], sets: Sequence[str]) -> list[str]:
    return [
        f"| `{of}` | `{name}` | {values[f'rhythm_windows_{name}_{of}']:.0f} | "
        f"{values[f'rhythm_patients_{name}_{of}']:.0f} | {_shown(values, f'rhythm_sensitivity_{name}_{of}')} | "
        f"{_shown(values, f'rhythm_f1_{name}_{of}')} |"
        for of in sets
        for name in (*RHYTHMS, "lethal")
        if f"rhythm_windows_{name}_{of}" in values
    ]


if __name__ == "__main__":
    from model.weights import load, shipped

    shown = load(shipped())
    print(card(shown.made, shown.parameters), end="")
    print(forest_card(quality_forest.made(quality_forest.SHIPPED.read_bytes())), end="")
    print(small_cards(), end="")
