"""Save the outputs of four runs, which tests/unit/test_report.py assesses:

    python tests/support/snapshots/make.py CHECKOUT UNDERTRAINED

`dvc repro` must have run in both folders: with the default parameters in CHECKOUT, with steps = 100 in UNDERTRAINED.
Their tables and scores are saved unchanged as `good` and `undertrained`.

Two failed runs are derived from CHECKOUT and scored by its stage `evaluate`: `collapsed` repeats the first eight
samples, and `copying` has training faces in place of samples.
"""

import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, arange

from omokage.data import shards
from omokage.evaluation.features.reference import spread_indices
from omokage.pipeline import graph
from omokage.pipeline.prepare import prepare_job
from omokage.sampling.sample_sets import save_sample_sets
from omokage.stages import evaluate

TABLES = (
    *("scores.json", "curation.json", "half_size_loss.csv", "loss.csv", "noise_levels.csv", "progress.csv"),
    "study.csv",
)
DISTINCT_SAMPLES = 8


def main(checkout: Path, undertrained: Path) -> None:
    """Write one folder per run next to this file; files that equal those of the run `good` are left out."""
    for name, root in (("good", checkout), ("undertrained", undertrained)):
        for table in TABLES:
            _save(root / "results" / table, name)
    samples = load_file(checkout / "results/samples.safetensors")["samples"]
    train = shards.read_faces(checkout / "data/faces", "train")
    failures: Mapping[str, Tensor] = {
        "collapsed": samples[arange(len(samples)) % DISTINCT_SAMPLES],
        "copying": train[spread_indices(len(train), len(samples))],
    }
    for name, images in failures.items():
        with tempfile.TemporaryDirectory() as folder:
            _save(_evaluate(checkout, images.contiguous(), Path(folder)), name)


def _evaluate(checkout: Path, samples: Tensor, folder: Path) -> Path:
    """Score the samples, uint8 [n, 3, h, w], with the stage `evaluate`, and return the path of scores.json."""
    save_file({"samples": samples}, folder / "samples.safetensors")
    # Other sample sets do not change scores.json.
    save_sample_sets(folder / "none.safetensors", [], samples[:0, None])
    job = prepare_job(checkout, graph.read_stages(checkout)["evaluate"], 1)
    others = {f"results/{kind}.safetensors": folder / "none.safetensors" for kind in ("progress", "study")}
    evaluate.run(
        replace(
            job,
            inputs={**job.inputs, "results/samples.safetensors": folder / "samples.safetensors", **others},
            outputs={path: folder / Path(path).name for path in job.outputs},
        )
    )
    return folder / "scores.json"


def _save(path: Path, name: str) -> None:
    snapshots = Path(__file__).parent
    good = snapshots / "good" / path.name
    if name != "good" and good.read_text(encoding="utf-8") == path.read_text(encoding="utf-8"):
        return
    (snapshots / name).mkdir(exist_ok=True)
    shutil.copyfile(path, snapshots / name / path.name)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
