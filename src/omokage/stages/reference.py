"""Stage `reference`: compute the features of real faces, with which the samples are compared."""

from omokage.base.errors import UserError
from omokage.base.job import Job
from omokage.compute.device import describe_device, prepare_device
from omokage.data import shards
from omokage.evaluation.features.extractors import EXTRACTORS
from omokage.evaluation.features.reference import choose_representatives, write_features
from omokage.params.reference import Params

NAMES = {"held_out": "held-out", "train": "training"}


def run(job: Job[Params]) -> None:
    """Write the features of at most `reference_faces` faces of each split.

    Raises UserError if a split has no faces.
    """
    device = prepare_device(job.threads)
    extractor = EXTRACTORS[job.params.extractor](device, job.input("data/extractor_weights"))
    job.facts.update(device=describe_device(device), weights_sha256=extractor.weights_sha256)
    faces, folder = job.input("data/faces"), job.output("data/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for split, name in NAMES.items():
        if not any(len(shard) for shard in shards.iterate_shards(faces, split)):
            raise UserError(f"{name} faces: 0, expected at least 1: add images or change held_out in params.yaml")
        all_faces = shards.read_faces(faces, split)
        chosen = all_faces[choose_representatives(split, len(all_faces), job.params.reference_faces)]
        write_features(folder / f"{split}.safetensors", extractor.compute_features(chosen), extractor)
