"""`python -m tests.campaign`: all that takes minutes to hours to try, part by part; ends with one JSON object.

Exit status 1 where something was lost, doubled or different, or where there were too few faults. Each part's result is
kept in the cache, so that `--resume` goes on where an earlier run of the same kind and seed ended.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from stream.settings import read_settings
from tests.campaign.parts import Part, parts

LEAST_FAULTS = {False: 25, True: 100}
"""Real kills, of a campaign and of a full one."""
COUNTS = ("lost", "doubled", "differences")


class Done(msgspec.Struct):
    """A part that was run: under which seed and commit, how long it took, and what it found."""

    name: str
    seed: int
    commit: str
    seconds: float
    found: dict[str, Any]


def main() -> int:
    """Run the parts that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--full", action="store_true", help="hours instead of minutes")
    parser.add_argument("--resume", action="store_true", help="leave out what was done before")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--only", nargs="*", default=[], help="parts whose names begin so")
    asked = parser.parse_args()
    settings = read_settings()
    chosen = [part for part in parts(asked.full, asked.seed, settings.records) if _is_asked(part, asked.only)]
    kept = settings.cache / "campaign" / ("full.ndjson" if asked.full else "short.ndjson")
    done = _run(chosen, kept, asked.seed, asked.resume)
    total = _summed([each.found for each in done], {each.name: each for each in done})
    real = sum(each.found.get("faults", 0) for each in done if each.name.startswith("kills"))
    enough = bool(asked.only) or real >= LEAST_FAULTS[asked.full]
    print(msgspec.json.encode(total | {"real_faults": real, "seed": asked.seed}).decode(), flush=True)
    return 0 if enough and not any(total[name] for name in COUNTS) else 1


def _is_asked(part: Part, only: list[str]) -> bool:
    return not only or part.name.startswith(tuple(only))


def _run(chosen: list[Part], kept: Path, seed: int, resume: bool) -> list[Done]:
    """Run each part that was not done before under this seed and commit."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    commit = _commit()
    before = _read(kept) if resume else []
    known = {each.name: each for each in before if (each.seed, each.commit) == (seed, commit)}
    if not resume:
        kept.unlink(missing_ok=True)
    done = []
    for number, part in enumerate(chosen, 1):
        if part.name not in known:
            print(f"[{number}/{len(chosen)}] {part.name} ...", file=sys.stderr, flush=True)
            began = time.monotonic()
            found = part.run()
            known[part.name] = Done(part.name, seed, commit, round(time.monotonic() - began, 1), found)
            with kept.open("ab") as file:
                file.write(msgspec.json.encode(known[part.name]) + b"\n")
        each = known[part.name]
        shown = {name: value for name, value in each.found.items() if isinstance(value, int | float)}
        print(f"[{number}/{len(chosen)}] {part.name}: {each.seconds:.0f} s, {shown}", file=sys.stderr, flush=True)
        done.append(each)
    return done


def _read(kept: Path) -> list[Done]:
    if not kept.exists():
        return []
    return [msgspec.json.decode(line, type=Done) for line in kept.read_bytes().splitlines()]


def _commit() -> str:
    said = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown"


def _summed(found: list[dict[str, Any]], by_name: dict[str, Done]) -> dict[str, Any]:
    total: dict[str, Any] = {name: sum(each.get(name, 0) for each in found) for name in ("faults", *COUNTS)}
    total["blind_max_s"] = max((each["blind_max_s"] for each in found if "blind_max_s" in each), default=None)
    total["parts"] = {name: each.found | {"seconds": each.seconds} for name, each in by_name.items()}
    return total


if __name__ == "__main__":
    sys.exit(main())
