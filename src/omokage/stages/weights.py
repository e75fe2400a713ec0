"""weights: bring the weights of the network that samples are judged with, while there is a network to bring them by."""

import shutil

from omokage.evaluation import INCEPTION_WEIGHTS, weights
from omokage.job import Job
from omokage.params.weights import Params


def run(job: Job[Params]) -> None:
    """Fill data/weights: with Inception's file, or with a note that the extractor has its weights in its package."""
    folder = job.output("data/weights")
    folder.mkdir(parents=True, exist_ok=True)
    if job.params.extractor == "inception":
        path, job.facts["weights_sha256"] = weights.inception()
        shutil.copyfile(path, folder / INCEPTION_WEIGHTS)
    else:
        note = f"The weights of {job.params.extractor} come with its package.\n"
        (folder / "README.txt").write_text(note, encoding="utf-8")
