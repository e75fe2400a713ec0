"""Transform held-out faces with the model, and draw what lies between two seeds."""

import torch
from safetensors.torch import save_file

from omokage.data import shards
from omokage.device import compute_dtype, name
from omokage.job import Job
from omokage.params.transform import Params
from omokage.transforming import Transformer

PAIRS = 3


def run(job: Job[Params]) -> None:
    """Write the faces, uint8 [n, 3, h, w], and what became of them; the facts say how exact the way there and back is.

    `varied` [n, k, 3, h, w] are their versions at the k `strengths`, made with the same noise; `there_and_back` their
    round trip by DDIM, with the `errors` [n] in grey levels of 255; `between` [pairs, m, 3, h, w] leads from one noise
    to another.
    """
    p = job.params
    transformer = Transformer(job.input("results/model.safetensors"), p.transform_steps, job.threads)
    faces = shards.read(job.input("data/faces"), "held_out")[: p.transform_faces]
    varied = [transformer.vary(faces, strength, "ddpm", p.transform_seed) for strength in p.transform_strengths]
    _, back, errors = transformer.round_trip(faces)
    ways = [
        transformer.between_seeds(p.transform_seed, 2 * pair, 2 * pair + 1, p.transform_between)
        for pair in range(PAIRS)
    ]
    arrays = {
        "faces": faces,
        "strengths": torch.tensor(p.transform_strengths, dtype=torch.float64),
        "varied": torch.stack(varied, 1),
        "there_and_back": back,
        "errors": torch.tensor(errors, dtype=torch.float64),
        "between": torch.stack(ways),
    }
    save_file(arrays, job.output("results/transformed.safetensors"))
    job.facts.update(
        device=name(transformer.device),
        precision=str(compute_dtype(transformer.spec.precision, transformer.device)).removeprefix("torch."),
        round_trip_grey_levels=errors,
    )
