"""Schedule entries of the user's own in the real `mxrc-rt`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from shared.datastore import DataStore
from shared.entries import EntryTimes, entry_times
from shared.segment import Segment
from tests.helpers import ROOT, require_tool
from tests.processes import Place, started_rt, wait_for, wait_for_state

BURNER = """
#include <time.h>
#include "mxrc/entry.h"
static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1e6 + at.tv_nsec * 1e-3;
}
static int init(void *state, const double *us, double dt) { return us[0] < 0; }
static int step(void *state, const double *us, const struct mxrc_entry_input *in, double *out)
{
    double begun = now();
    while (now() - begun < us[0])
        ;
    out[0] = (double)in->cycle;
    return 0;
}
const struct mxrc_entry_code burner = { MXRC_ENTRY_ABI, sizeof(struct mxrc_entry_code), "burner",
                                        0, 1, 0, 1, init, step };
"""


def build(folder: Path) -> Path:
    source, target = folder / "burner.c", folder / "burner.so"
    source.write_text(BURNER)
    command = [require_tool("cc", "gcc"), "-std=gnu11", "-O2", "-fPIC", "-shared"]
    command += [f"-I{ROOT / 'cffi_build' / 'include'}", str(source), "-o", str(target)]
    subprocess.run(command, check=True, timeout=60)
    target.chmod(0o755)
    return target


def set_schedule(place: Place, *entries: dict[str, Any]) -> None:
    schedule = place.config_dir / "rt_schedule.json"
    schedule.write_text(json.dumps(json.loads(schedule.read_text()) | {"entries": entries}))
    store = place.config_dir / "datastore.json"
    document = json.loads(store.read_text())
    key = {"name": "burnt_at", "type": "double", "writer": "rt", "default": 0.0}
    document["keys"] = [*document.get("keys", []), key]
    store.write_text(json.dumps(document))


def burner(path: Path, **fields: Any) -> dict[str, Any]:
    code = {"run": "c", "path": str(path), "symbol": "burner", "outputs": ["burnt_at"]}
    times = {"parameters": [200], "period_us": 5000, "phase_us": 2000, "wcet_us": 100}
    return {"name": "burning", **code, **times, **fields}


def test_runs_in_its_slots_and_is_measured(place: Place) -> None:
    law = {"name": "servo", "run": "law", "period_us": 1000, "wcet_us": 50}
    set_schedule(place, burner(build(place.folder)), law)
    with started_rt(place) as rt:
        segment = wait_for_state(place, rt)
        wait_for(lambda: find(segment, "burning").runs >= 20, "runs of the entry")
        found = find(segment, "burning")
        assert found.mean_us >= 200
        assert found.exceeded >= 20
        assert (found.period_us, found.phase_us) == (5000, 2000)
        assert find(segment, "servo").runs > found.runs
        assert int(segment.rt_status.slots) == 5
        burnt_at = DataStore(segment).read("burnt_at").value
        assert isinstance(burnt_at, float)
        assert burnt_at % 5 == 2


def find(segment: Segment, name: str) -> EntryTimes:
    return next(one for one in entry_times(segment) if one.name == name)


def test_refused_with_place_and_reason(place: Place) -> None:
    set_schedule(place, burner(build(place.folder), parameters=[1, 2]))
    with started_rt(place) as rt:
        assert rt.wait(30) == 78, rt.output
        assert "rt_schedule.json" in rt.output
        assert "entries[0]" in rt.output
        assert "takes 1 parameters" in rt.output
        assert place.shm_files() == []
