"""Record the runs that tests/test_report.py judges:

    python tests/recorded/make.py CHECKOUT UNDERTRAINED

In CHECKOUT `dvc repro` has run the laptop preset, in UNDERTRAINED the same with steps = 100. Their tables and scores
are recorded as they are; the two failures that this preset does not have are made from it, and scored by the stage
itself: `collapsed` draws the first eight samples again and again, `copying` hands out faces that it was trained on.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, arange

from omokage import pipeline, runner
from omokage.data import shards
from omokage.evaluation.reference import spread
from omokage.stages import evaluate

TABLES = ("metrics.json", "faces.json", "loss.csv", "noise_levels.csv", "progress.csv", "study.csv")
DIFFERENT = 8


def main(checkout: Path, undertrained: Path) -> None:
    """Write a folder beside this file for each run; what equals the good run's is left out of the others."""
    for name, root in (("good", checkout), ("undertrained", undertrained)):
        for table in TABLES:
            _record(root / "results" / table, name)
    samples = load_file(checkout / "results/samples.safetensors")["samples"]
    train = shards.read(checkout / "data/faces", "train")
    failures: Mapping[str, Tensor] = {
        "collapsed": samples[arange(len(samples)) % DIFFERENT],
        "copying": train[spread(len(train), len(samples))],
    }
    for name, drawn in failures.items():
        with tempfile.TemporaryDirectory() as place:
            _record(_scored(checkout, drawn.contiguous(), Path(place)), name)


def _scored(checkout: Path, samples: Tensor, place: Path) -> Path:
    """Return the scores that the stage `evaluate` of the checkout gives these samples."""
    save_file({"samples": samples}, place / "samples.safetensors")
    job = runner.prepare(checkout, pipeline.read(checkout)["evaluate"], 2)
    evaluate.run(
        replace(
            job,
            inputs={**job.inputs, "results/samples.safetensors": place / "samples.safetensors"},
            outputs={path: place / Path(path).name for path in job.outputs},
        )
    )
    return place / "metrics.json"


def _record(path: Path, name: str) -> None:
    here = Path(__file__).parent
    text = path.read_text(encoding="utf-8")
    good = here / "good" / path.name
    if name != "good" and good.read_text(encoding="utf-8") == text:
        return
    (here / name).mkdir(exist_ok=True)
    shutil.copyfile(path, here / name / path.name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
