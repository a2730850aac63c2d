"""Measures of speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.commands.common import Json, Records
from stream.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="Measure speed, side by side with peers where one exists.")


@app.command("pipeline")
def bench_pipeline(
    beds: Annotated[int, typer.Option(min=1, help="Beds to begin with.")] = 500,
    seconds: Annotated[float, typer.Option(min=10, help="How long lag must stay flat.")] = 60.0,
    leads: Annotated[int, typer.Option(min=1, max=12, help="ECG leads of each bed, at 250 Hz.")] = 2,
    json: Json = False,
) -> None:
    """Beds in real time of one worker, with broker and Redis on this machine."""
    from stream.bench import pipeline

    raise SystemExit(pipeline(read_settings(), beds, seconds, leads, json))


@app.command("state")
def bench_state(
    beds: Annotated[int, typer.Option(min=1, help="Beds.")] = 500,
    seconds: Annotated[int, typer.Option(min=14, help="Seconds of signal of each.")] = 32,
    writing: Annotated[int, typer.Option(min=1, help="Seconds during which rows are written before restores.")] = 120,
    leads: Annotated[int, typer.Option(min=1, max=12, help="ECG leads of each bed, at 250 Hz.")] = 2,
    json: Json = False,
) -> None:
    """Snapshots: their size, their share of a worker's time, and how long a restore takes, with a broker here."""
    from stream.bench_state import state

    raise SystemExit(state(read_settings(), beds, seconds, writing, leads, json))


@app.command("denoise")
def bench_denoise(
    records: Records = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer leads, levels, turns and peers.")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="Measure nothing: write a noisy strip, before and after, as SVG.")
    ] = None,
    json: Json = False,
) -> None:
    """Speed and quality of the denoiser beside pywt, a band-pass and NeuroKit2, on records or generated hearts."""
    if picture is not None:
        from stream.bench_denoise_picture import draw

        draw(picture)
        return
    from stream.bench_denoise import denoise

    raise SystemExit(denoise(records or read_settings().records, json=json, quick=quick))


@app.command("beats")
def bench_beats(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer beds and turns.")] = False,
    json: Json = False,
) -> None:
    """Speed of finding and naming beats, with the rules of rhythm and without, beside public detectors."""
    from stream.bench_beats import beats

    raise SystemExit(beats(json=json, quick=quick))


@app.command("infer")
def bench_infer(json: Json = False) -> None:
    """Windows a second of the network on one core, from scratch and with shared chunks, against the peak."""
    from stream.bench_infer import infer

    raise SystemExit(infer(json=json))
