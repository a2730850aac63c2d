"""Training of what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.commands.common import Data, Sets, Work

app = typer.Typer(no_args_is_help=True, help="Train what is learned.")


@app.command("net")
def train_net(
    data: Sets,
    out: Annotated[Path, typer.Option("--out", help="Where the weights go (safetensors).")],
    seed: Annotated[int, typer.Option("--seed")] = 1,
    work: Work = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Weights to go on from, on a hospital's own records and labels.csv.")
    ] = None,
) -> None:
    """Train the network, on records of twelve leads and windows of monitors."""
    from stream.evaluate.diagnosis import train

    raise SystemExit(train(data, out, seed, work, start))


@app.command("beats")
def train_beats(
    data: Sets,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the judges that name beats go (safetensors).")
    ] = None,
    doubt: Annotated[
        Path | None, typer.Option("--doubt", help="Where the forest that tells noise from beats goes (safetensors).")
    ] = None,
) -> None:
    """Fit the weights by which beats are found and named, on the records of the shipped ones."""
    from stream.evaluate.refit import train_beats as train

    train(data, out, doubt)


@app.command("rhythm")
def train_rhythm(
    data: Sets,
    out: Annotated[Path | None, typer.Option("--out", help="Write them here, as JSON, instead of print.")] = None,
) -> None:
    """Fit the weights of the fibrillatory wave."""
    from stream.evaluate.refit import train_rhythm as train

    train(data, out)


@app.command("atrial")
def train_atrial(
    data: Sets,
    out: Annotated[Path, typer.Option("--out", help="Where the weights go (safetensors).")],
) -> None:
    """Fit the weights for atrial fibrillation on annotated beats."""
    from stream.evaluate.refit import train_atrial as train

    train(data, out)


@app.command("strips")
def train_strips(
    data: Sets,
    out: Annotated[Path, typer.Option("--out", help="Where the forests go (safetensors).")],
    work: Work = None,
) -> None:
    """Grow the forests that name short strips of one lead: normal rhythm, atrial fibrillation, another, noise."""
    from stream.evaluate.strips import train

    train(data, out, work)


@app.command("quality")
def train_quality(
    data: Sets,
    out: Annotated[Path, typer.Option("--out", help="Where the forest goes (safetensors).")],
) -> None:
    """Grow the forest that calls recordings of twelve leads acceptable or not."""
    from stream.evaluate.quality import train

    train(data, out)


@app.command("head")
def train_head(
    data: Data,
    backbone: Annotated[Path, typer.Option("--backbone", help="Published file of weights: ECGFounder's or ECG-FM's.")],
    out: Annotated[Path, typer.Option("--out", help="Where the head goes (safetensors).")],
    leads: Annotated[str | None, typer.Option(help="Leads in the order that the network takes, as I,II,III.")] = None,
    seed: Annotated[int, typer.Option(help="Of the folds by patient.")] = 1,
) -> None:
    """Fit a linear head on the features of a published network, on WFDB records that `labels.csv` in DIR names."""
    from model.backbones.head import train

    train(backbone, data, out, seed, leads=tuple(leads.split(",")) if leads else None)


@app.command("prototypes")
def train_prototypes(
    data: Sets,
    out: Annotated[Path, typer.Option("--out", help="Where the prototypes go (safetensors).")],
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Find windows that stand for each class in the features of the shipped network, for `vigil explain`."""
    from model.explain.prototypes import train

    found = train(data, out, seed)
    for label, windows in zip(found.labels, found.windows, strict=True):
        print(f"{label}: {windows} windows")
