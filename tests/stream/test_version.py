"""The code that decides is named by its own text."""

from __future__ import annotations

import subprocess
import sys

import stream.pipeline
from stream.version import MACHINE, VERSION, code_version, sources


def test_every_module_that_the_pipeline_loads_is_in_the_version() -> None:
    named = {f"{path.parent.name}.{path.stem}" for path in sources()}
    assert stream.pipeline.__name__ in named
    alone = [sys.executable, "-c", "import sys, stream.pipeline; print(*sys.modules)"]
    loaded = subprocess.run(alone, check=True, capture_output=True, text=True).stdout.split()
    ours = {name for name in loaded if name.split(".")[0] in ("ecg", "model") and "ec57" not in name}
    assert {name for name in ours if name.count(".") == 1} <= named
    imported = {getattr(value, "__module__", "") for value in vars(stream.pipeline).values()}
    assert {name for name in imported if name and name.startswith("stream.")} <= named


def test_the_weights_that_rules_decide_by_are_in_the_version() -> None:
    weights = {path.name for path in sources() if path.suffix == ".safetensors"}
    assert {"beat_judge.safetensors", "atrial_weights.safetensors"} <= weights


def test_the_version_is_the_release_and_a_digest_and_stays_the_same() -> None:
    release, _, digest = VERSION.partition("+")
    assert release == "0.1.0"
    assert len(digest) == 10
    assert code_version() == VERSION
    assert " " in MACHINE
