"""Scores against reference annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from stream.commands.common import Data, Json, Sets, Work

app = typer.Typer(no_args_is_help=True, help="Score the pipeline against reference annotations.")

Decisions = Annotated[Path | None, typer.Option("--decisions", help="Write a line a record here, as NDJSON.")]
Worst = Annotated[int, typer.Option("--worst", min=0, help="Name this many records that cost most.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw the strips of those into this folder, as SVG.")]
Net = Annotated[
    str, typer.Option("--net", help="Weights file, `shipped`, `none`, or a folder of work with the networks of folds.")
]
CrossValidate = Annotated[
    bool, typer.Option("--cross-validate", help="Train what is learned without each fold's patients.")
]


@app.command("ec57")
def ec57(
    data: Data,
    json: Json = False,
    test: Annotated[
        str | None, typer.Option("--test", help="Score these annotation files instead: ANNOTATOR or FOLDER/ANNOTATOR.")
    ] = None,
    noise: Annotated[Literal["em", "ma", "bw"] | None, typer.Option("--noise", help="Mix this noise in.")] = None,
    snr_db: Annotated[float, typer.Option("--snr-db", help="Signal-to-noise ratio while it is noisy.")] = 6.0,
    decisions: Decisions = None,
    worst: Worst = 0,
    plot: Plot = None,
    peer: Annotated[list[str] | None, typer.Option("--peer", help="sleepecg or neurokit2, scored beside.")] = None,
    cross_validate: CrossValidate = False,
) -> None:
    """Beats, runs and episodes against the reference annotations of a set, after ANSI/AAMI EC57."""
    from stream.evaluate.ec57 import Wanted, evaluate

    wanted = Wanted(data, json, test, noise, snr_db, decisions, worst, plot, tuple(peer or ()), cross_validate)
    raise SystemExit(evaluate(wanted))


@app.command("challenge2015")
def challenge2015(
    data: Data,
    json: Json = False,
    decisions: Decisions = None,
    worst: Worst = 0,
    plot: Plot = None,
    cross_validate: CrossValidate = False,
    net: Net = "shipped",
) -> None:
    """Score which alarms of an intensive care unit our own would have kept, as the 2015 challenge does."""
    from stream.evaluate.challenge2015 import evaluate

    raise SystemExit(
        evaluate(data, json=json, decisions=decisions, worst=worst, plot=plot, cross_validate=cross_validate, net=net)
    )


@app.command("rhythm")
def rhythm(
    data: Sets,
    json: Json = False,
    decisions: Decisions = None,
    worst: Worst = 0,
    plot: Plot = None,
    cross_validate: CrossValidate = False,
    net: Net = "shipped",
) -> None:
    """Score what the alarms say of rhythms: segments to be shocked, episodes, delays, false alarms."""
    from stream.evaluate.rhythm import evaluate

    raise SystemExit(
        evaluate(data, json=json, decisions=decisions, worst=worst, plot=plot, cross_validate=cross_validate, net=net)
    )


@app.command("quality")
def quality(
    data: Sets,
    json: Json = False,
    decisions: Decisions = None,
    cross_validate: CrossValidate = False,
) -> None:
    """Score what is said of the signal: acceptable or not, noisy or not, and what the artefact ladder suspends."""
    from stream.evaluate.quality import evaluate

    raise SystemExit(evaluate(data, json=json, decisions=decisions, cross_validate=cross_validate))


@app.command("intervals")
def intervals(data: Sets, json: Json = False, decisions: Decisions = None) -> None:
    """Score QT and QRS of averaged beats against experts, and count the alarms of ST and QTc."""
    from stream.evaluate.intervals import evaluate

    raise SystemExit(evaluate(data, json=json, decisions=decisions))


@app.command("diagnosis")
def diagnosis(
    data: Sets,
    json: Json = False,
    cross_validate: CrossValidate = False,
    work: Work = None,
    weights: Annotated[Path | None, typer.Option("--weights", help="Score these instead of the shipped ones.")] = None,
    reliability: Annotated[
        Path | None, typer.Option("--reliability", help="Draw probabilities out of fold against what was so, as SVG.")
    ] = None,
) -> None:
    """Score what the network says of twelve-lead records, from all leads down to one, and of monitors' rhythms."""
    from stream.evaluate.diagnosis import evaluate

    raise SystemExit(
        evaluate(data, json=json, cross_validate=cross_validate, work=work, file=weights, picture=reliability)
    )


@app.command("ablations")
def ablations(data: Sets, json: Json = False, work: Work = None) -> None:
    """Train the network without each of its parts, on two folds, and say what each part is worth."""
    from stream.evaluate.ablations import evaluate

    raise SystemExit(evaluate(data, json=json, work=work))


@app.command("labels")
def labels(data: Sets, json: Json = False, work: Work = None) -> None:
    """Train the network with fewer and fewer labels, with and without pretraining that needs none, on two folds."""
    from stream.evaluate.labels import evaluate

    raise SystemExit(evaluate(data, json=json, work=work))


@app.command("explanation")
def explanation(
    data: Sets,
    json: Json = False,
    prototypes: Annotated[Path | None, typer.Option("--prototypes", help="Instead of the shipped ones.")] = None,
) -> None:
    """Score whether what is marked in a window is what the network's answer rests on, and how long marking takes."""
    from stream.evaluate.explanation import evaluate

    raise SystemExit(evaluate(data, json=json, prototypes=prototypes))


@app.command("risk")
def risk(
    data: Sets,
    json: Json = False,
    net: Annotated[str, typer.Option(help="Weights file of the network, `shipped`, or `none`.")] = "shipped",
    decisions: Decisions = None,
) -> None:
    """Count how often the risk level changes an hour, on stable records and on others, and why."""
    from stream.evaluate.risk import evaluate

    raise SystemExit(evaluate(data, json=json, net=net, decisions=decisions))


@app.command("60601")
def standards(
    json: Json = False,
    data: Annotated[Path | None, typer.Option("--data", help="Folder of the aami-ec13 records, scored beside.")] = None,
    noise: Annotated[bool, typer.Option("--noise", help="Lethal events in noise of 12 dB, too.")] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Lethal events of each kind.")] = 8,
) -> None:
    """Disclose what IEC 60601-2-27 asks of a heart rate meter, and run lethal events: 1 where one alarmed late."""
    from stream.evaluate.standards import evaluate
    from stream.settings import read_settings

    raise SystemExit(evaluate(json=json, data=data, noise=noise, seeds=seeds, sets=read_settings().records))
