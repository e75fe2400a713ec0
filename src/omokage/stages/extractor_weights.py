"""Stage `extractor_weights`: fetch the weights of the feature extractor, so that later stages need no network."""

import shutil

from omokage.base.job import Job
from omokage.evaluation.extractor_weights import INCEPTION_FILE, fetch_inception_weights
from omokage.params.extractor_weights import Params


def run(job: Job[Params]) -> None:
    """Write the Inception weights to data/extractor_weights.

    For other extractors, write a note there that the weights come in a package.
    """
    folder = job.output("data/extractor_weights")
    folder.mkdir(parents=True, exist_ok=True)
    if job.params.extractor == "inception":
        path, job.facts["weights_sha256"] = fetch_inception_weights()
        shutil.copyfile(path, folder / INCEPTION_FILE)
    else:
        note = f"The weights of {job.params.extractor} come with its package.\n"
        (folder / "README.txt").write_text(note, encoding="utf-8")
