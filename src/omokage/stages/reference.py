"""reference: features of real faces, which samples are judged against."""

from omokage.data import shards
from omokage.device import name, prepare
from omokage.errors import Refused
from omokage.evaluation.features import EXTRACTORS
from omokage.evaluation.reference import representatives, write
from omokage.job import Job
from omokage.params.reference import Params


def run(job: Job[Params]) -> None:
    """Write the features of held-out faces, the first ones, and of train faces, spread over all of them."""
    device = prepare(job.threads)
    extractor = EXTRACTORS[job.params.extractor](device, job.input("data/weights"))
    job.facts.update(device=name(device), weights_sha256=extractor.weights_sha256)
    faces, folder = job.input("data/faces"), job.output("data/reference")
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("held_out", "train"):
        if not any(len(shard) for shard in shards.each(faces, split)):
            raise Refused(f"{split} faces: 0, expected some to judge against: give more pictures or change held_out")
        real = shards.read(faces, split)
        chosen = real[representatives(split, len(real), job.params.reference_faces)]
        write(folder / f"{split}.safetensors", extractor.features(chosen), extractor)
