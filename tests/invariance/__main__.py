"""`python -m tests.invariance`: one table of cuts, and one JSON object; status 1 where an alert differs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from stream.nets import load_net, read_weights
from tests.invariance import stretches
from tests.invariance.cuts import Row, compared
from tests.invariance.stretches import Stretch

HEAD = "partitions  frame_s  batch  restart_at  records  alerts  differences  replay_differences"


def invariance(wards: list[list[Stretch]], *, net: bool, seed: int = 0, tell: bool = True) -> dict[str, Any]:
    """Compare all cuts of some wards, and return the sums.

    Returns
    -------
    dict
        `stretches`, `combinations`, `alerts` (of all cuts), `differences` (of both kinds), `bed_seconds` and `rows`.
    """
    nets = dict([load_net(read_weights("shipped"))]) if net else {}
    found: dict[str, Any] = {"stretches": 0, "combinations": 0, "alerts": 0, "differences": 0, "bed_seconds": 0}
    rows: list[Row] = []
    for nth, ward in enumerate(wards):
        sources = {stretch.device: stretch.source() for stretch in ward}
        if tell:
            print(f"{len(sources)} stretches ({nth + 1} of {len(wards)})\n{HEAD}", file=sys.stderr, flush=True)
        rows += compared(sources, nets, seed + nth, tell=_told if tell else lambda row: None)
        found["stretches"] += len(sources)
        found["bed_seconds"] += round(sum(source.n_samples / source.rate_hz for source in sources.values()))
    found["combinations"] = len(rows)
    found["alerts"] = sum(row.alerts for row in rows)
    found["differences"] = sum(row.differences + row.replay_differences for row in rows)
    return found | {"rows": [[*row.cut, *row[1:]] for row in rows]}


def _told(row: Row) -> None:
    widths = [len(name) for name in HEAD.split("  ")]
    cells = zip((*row.cut, *row[1:]), widths, strict=True)
    print("  ".join(str(cell).rjust(width) for cell, width in cells), file=sys.stderr, flush=True)


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tests.invariance", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--short", action="store_true", help="two generated hearts, a minute each")
    which.add_argument("--full", action="store_true", help="all of mitdb and cinc2015, for hours")
    parser.add_argument("--no-net", action="store_true", help="let the rules stand alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the object alone")
    asked = parser.parse_args()
    named = os.environ.get("VIGIL_RECORDS")
    records = Path(named) if named else None
    if asked.full and (records is None or not records.is_dir()):
        parser.error("VIGIL_RECORDS must name the folder of record sets")
    wards = [stretches.short()] if asked.short else [stretches.stated(records)]
    if asked.full:
        assert records is not None
        wards = list(stretches.full(records))
    found = invariance(wards, net=not asked.no_net, seed=asked.seed, tell=not asked.json)
    print(json.dumps(found))
    return int(found["differences"] > 0)


if __name__ == "__main__":
    sys.exit(main())
