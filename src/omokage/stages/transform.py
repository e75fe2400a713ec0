"""Stage `transform`: edit held-out faces with the model, and generate samples from interpolated noise."""

import torch
from safetensors.torch import save_file

from omokage.base.job import Job
from omokage.compute.device import choose_dtype, describe_device
from omokage.data import shards
from omokage.editing.image_editor import ImageEditor
from omokage.params.transform import Params

PAIRS = 3  # pairs of noise tensors to interpolate between


def run(job: Job[Params]) -> None:
    """Write held-out faces and their edits to results/transformed.safetensors, all as uint8 images.

    - `faces` [n, 3, h, w]: the held-out faces
    - `varied` [n, k, 3, h, w]: SDEdit variations of each face at k `strengths`, all with the same noise
    - `there_and_back` [n, 3, h, w]: each face after a DDIM inversion round trip
    - `between` [pairs, m, 3, h, w]: DDIM samples from noise interpolated between pairs of noise tensors

    The file and the run record also have the `errors` [n] of the round trip: the root mean square differences from the
    faces, in grey levels (0 to 255).
    """
    p = job.params
    editor = ImageEditor(job.input("results/model.safetensors"), p.transform_steps, job.threads)
    faces = shards.read_faces(job.input("data/faces"), "held_out")[: p.transform_faces]
    varied = [editor.vary(faces, strength, "ddpm", p.transform_seed) for strength in p.transform_strengths]
    _, decoded, errors = editor.round_trip(faces)
    interpolations = [
        editor.interpolate_noise(p.transform_seed, 2 * pair, 2 * pair + 1, p.transform_between) for pair in range(PAIRS)
    ]
    arrays = {
        "faces": faces,
        "strengths": torch.tensor(p.transform_strengths, dtype=torch.float64),
        "varied": torch.stack(varied, 1),
        "there_and_back": decoded,
        "errors": torch.tensor(errors, dtype=torch.float64),
        "between": torch.stack(interpolations),
    }
    save_file(arrays, job.output("results/transformed.safetensors"))
    job.facts.update(
        device=describe_device(editor.device),
        precision=str(choose_dtype(editor.spec.precision, editor.device)).removeprefix("torch."),
        round_trip_grey_levels=errors,
    )
