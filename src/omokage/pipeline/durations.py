"""Record how long stages took on this machine, and predict how long a stage will take with other parameters.

The model is: seconds = fixed + rate * (pixels + calls * overhead), with the numbers of pipeline.workload. One run does
not tell `fixed` and `overhead`, so all plausible values that agree with the recorded runs are tried. If their
predictions are too far apart, the time is unknown. The records are in .dvc/tmp/omokage/timings.json of the main
checkout, which git ignores.
"""

import fcntl
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from omokage.base.checkout import work_folder
from omokage.base.files import write_text
from omokage.pipeline.machine import describe_machine, has_gpu
from omokage.pipeline.workload import Workload, count_work

FILE = "timings.json"
MAX_RECORDS, MAX_COMPARED = 1000, 8  # runs in the file, and runs of a stage that a prediction uses
MANIFEST = "data/manifest.json"
# Plausible values: seconds that do not depend on the work, and pixels in whose time a call of the network is prepared.
# On a GPU, the network may be compiled, and a call costs more than the pixels of a small batch.
FIXED = {False: (0.0, 0.25, 0.5, 1.0, 2.0, 4.0), True: (0.0, 10.0, 30.0, 60.0, 120.0)}
OVERHEAD = {False: (2**11, 2**12, 2**13, 2**14, 2**15, 2**16), True: (2**11, 2**14, 2**17, 2**20, 2**23)}
NOISE = 1.3  # two runs of the same work differ by at most this factor
ACCURACY = 1.5  # a prediction that may be wrong by more than this factor is not given
SHORTEST = 0.5  # seconds; below this, all times count as equal

Record = dict[str, Any]


def record_duration(root: Path, stage: str, params: Mapping[str, Any], seconds: float, threads: int) -> None:
    """Add the time of a whole run of a stage with the parameters of all stages. Never raises an error.

    Runs that resumed partial work, or were split into several jobs, must not be recorded.
    """
    with suppress(OSError, ValueError, KeyError, TypeError):
        work = count_work(stage, params, _count_images(root, params))
        if work is None:
            return
        record = {"machine": describe_machine(), "threads": threads, "stage": stage, "seconds": round(seconds, 2)}
        path = work_folder(root) / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            records = [*read_records(root), {**record, **asdict(work)}][-MAX_RECORDS:]
            write_text(path, "[\n" + ",\n".join(json.dumps(item) for item in records) + "\n]\n")


def read_records(root: Path) -> list[Record]:
    """Return the recorded runs, oldest first; none if the file is missing or damaged."""
    try:
        records = json.loads((work_folder(root) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [item for item in records if isinstance(item, dict)] if isinstance(records, list) else []


def predict_duration(
    root: Path, stage: str, params: Mapping[str, Any], threads: int, has_new_data: bool = False
) -> float | None:
    """Return the seconds that a stage will take on this machine, or None if the recorded runs do not tell.

    `has_new_data` says that the stage `download` will run before, so that the number of images may change.
    """
    images = None if has_new_data and params["source"] != "avatars" else _count_images(root, params)
    work, machine = count_work(stage, params, images), describe_machine()
    if work is None:
        return None
    setting = json.loads(json.dumps(work.setting))
    runs = [
        (Workload(record["calls"], record["pixels"], setting), record["seconds"])
        for record in read_records(root)
        if (record.get("machine"), record.get("threads"), record.get("stage")) == (machine, threads, stage)
        and record.get("setting") == setting
    ]
    return fit_and_predict(runs[-MAX_COMPARED:], work, has_gpu(machine))


def fit_and_predict(runs: Sequence[tuple[Workload, float]], work: Workload, on_gpu: bool) -> float | None:
    """Return the predicted seconds of `work` from the work and seconds of earlier runs, or None if they do not tell.

    Old runs that contradict newer ones are ignored: the machine may have been busy, or the code slower.
    """
    for start in range(len(runs)):
        if predictions := list(_predict(runs[start:], work, on_gpu)):
            low, high = (max(SHORTEST, limit) for limit in (min(predictions), max(predictions)))
            return math.sqrt(low * high) if high / low <= ACCURACY**2 else None
    return None


def _predict(runs: Sequence[tuple[Workload, float]], work: Workload, on_gpu: bool) -> Iterator[float]:
    """Yield the prediction of each pair of plausible values that agrees with all runs."""
    # A stage cannot be shorter than its fixed part, and a short one may consist of little else.
    longest_fixed = min(max(FIXED[on_gpu]), 0.9 * min(seconds for _, seconds in runs))
    plausible = {*(fixed for fixed in FIXED[on_gpu] if fixed <= longest_fixed), longest_fixed}
    for fixed, overhead in product(plausible, OVERHEAD[on_gpu]):
        rates = [(max(seconds, 0.01) - fixed) / (run.pixels + run.calls * overhead) for run, seconds in runs]
        if max(rates) / min(rates) <= NOISE:
            rate = math.exp(sum(map(math.log, rates)) / len(rates))
            yield fixed + rate * (work.pixels + work.calls * overhead)


def _count_images(root: Path, params: Mapping[str, Any]) -> int | None:
    """Return the number of images in the data set, or None if it is unknown."""
    if params["source"] == "avatars":
        return int(params["avatar_count"])
    try:
        return int(json.loads((root / MANIFEST).read_text(encoding="utf-8"))["count"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
