"""Draw pictures from the model, one seed a picture, and keep the frames of some being freed of their noise.

The unit of work is a batch of fixed size, so that a picture's bytes depend neither on how many are drawn nor on how
many jobs draw them: `part` draws some units into the run's own work folder, `run` draws those still missing.
"""

import os
from collections.abc import Iterator

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omokage import model, posthoc
from omokage.device import compute_dtype, memory_format, name, prepare
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import SPACINGS, Moment, choose, levels
from omokage.drawing import denoiser, guided_denoiser
from omokage.job import Job
from omokage.params.sample import Params
from omokage.progress import progress

UNIT = 32
# A GPU takes as long for a few pictures as for many; compiling pays from about as many evaluations on.
UNIT_ON_GPU, MANY = 128, 100_000
FILMED = 8


def run(job: Job[Params]) -> None:
    """Write the samples, in order of their number, and the frames of the first few."""
    artist = Artist(job)
    units = [artist.unit(number) for number in progress(artist.units, "sample", unit="batch")]
    drawn = torch.cat([unit.pop("samples") for unit in units])
    save_file({"samples": drawn[: job.params.samples]}, job.output("results/samples.safetensors"))
    save_file(units[0], job.output("results/frames.safetensors"))
    job.facts.update(device=name(artist.device), precision=str(artist.dtype).removeprefix("torch."))


def part(job: Job[Params], number: int, parts: int) -> None:
    """Draw every `parts`-th unit, from the `number`-th on, into the work folder."""
    artist = Artist(job)
    for unit in progress(artist.units[number::parts], f"sample, part {number + 1} of {parts}", unit="batch"):
        artist.unit(unit)


class Artist:
    """The model, loaded once, with this run's way of sampling from it."""

    def __init__(self, job: Job[Params]) -> None:
        self.p = job.params
        self.device = prepare(job.threads)
        self.size = UNIT_ON_GPU if self.device.type == "cuda" else UNIT
        self.units = range(-(-self.p.samples // self.size))
        network, self.spec = model.load(job.input("results/model.safetensors"), self.device)
        many = self.p.samples * self.p.sample_steps >= MANY
        if self.p.weights == "posthoc":
            averaged = posthoc.combined(job.input("results/snapshots.safetensors"), self.p.ema_length)
            network = model.with_weights(network, averaged)
        if self.p.guidance > 1:
            earlier = posthoc.earlier(job.input("results/snapshots.safetensors"), self.p.guide)
            self.denoiser = guided_denoiser(network, earlier, self.p.guidance, self.spec, self.device, many)
        else:
            self.denoiser = denoiser(network, self.spec, self.device, many)
        self.steps = SPACINGS[self.p.spacing](self.denoiser.schedule, levels(self.p.sampler, self.p.sample_steps))
        self.dtype = compute_dtype(self.spec.precision, self.device)
        self.work = job.work / f"{self.device.type}-{self.dtype}-{job.threads}"

    def unit(self, number: int) -> dict[str, Tensor]:
        """Return unit `number`, read where this very run drew it already: uint8 `samples` [size, 3, h, w].

        The first unit has a film of its first pictures as well: `t` [f], and uint8 [f, n, 3, h, w] `x_t` and `x0`, the
        picture that the network then saw.
        """
        path = self.work / f"unit-{number:06d}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}")
            save_file(self._drawn(number), partial)
            partial.replace(path)
        return load_file(path)

    def _drawn(self, number: int) -> dict[str, Tensor]:
        end = len(self.steps) - 1
        kept = {round(frame * end / (self.p.frames - 1)) for frame in range(self.p.frames)} if number == 0 else {end}
        *_, last = frames = [moment for i, moment in enumerate(self.moments(number)) if i in kept]
        unit = {"samples": self._pictures(last.x0)}
        if number == 0:
            filmed = slice(min(FILMED, self.p.samples))
            unit["t"] = torch.tensor([moment.t for moment in frames])
            unit["x_t"] = torch.stack([self._pictures(moment.x_t[filmed]) for moment in frames])
            unit["x0"] = torch.stack([self._pictures(moment.x0[filmed]) for moment in frames])
        return unit

    def _pictures(self, x: Tensor) -> Tensor:
        return self.spec.pictures(x).cpu()

    @torch.inference_mode()
    def moments(self, number: int) -> Iterator[Moment]:
        """Yield the noise removal of unit `number`; picture i's noise is a function of (sample_seed, i, step) alone."""
        layout, size = memory_format(self.device), self.spec.architecture.image_size
        pictures = range(number * self.size, (number + 1) * self.size)

        def noise(step: int) -> Tensor:
            drawn = [
                torch.randn(3, size, size, generator=generator(self.p.sample_seed, f"picture {i}", step))
                for i in pictures
            ]
            return torch.stack(drawn).to(self.device, memory_format=layout)

        yield from choose(self.p.sampler, self.p.eta)(self.denoiser, noise(0), self.steps, lambda i: noise(i + 1))
