"""Draw pictures from the model, one seed a picture, and keep the frames of some being freed of their noise.

The unit of work is a batch of fixed size, so that a picture's bytes depend neither on how many are drawn nor on how
many jobs draw them: `part` draws some units into the run's own work folder, `run` draws those still missing.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omokage import model, posthoc, series
from omokage.device import compute_dtype, memory_format, name, prepare
from omokage.diffusion.random import generator
from omokage.diffusion.samplers import SPACINGS, Denoiser, Moment, choose, levels
from omokage.drawing import denoiser, guided_denoiser
from omokage.job import Job
from omokage.params.sample import Params, parsed
from omokage.progress import progress

UNIT = 32
# A GPU takes as long for a few pictures as for many; compiling pays from about as many evaluations on.
UNIT_ON_GPU, MANY = 128, 100_000
FILMED = 8


def run(job: Job[Params]) -> None:
    """Write the samples, in order of their number, the frames of the first few, and what is drawn in other ways.

    From the same seeds: a few from every snapshot of the training, and as many as `study` asks for.
    """
    artist = Artist(job)
    drawn: dict[str, list[Tensor]] = {}
    for way, number in progress(artist.units, "sample", unit="batch"):
        unit = artist.unit(way, number)
        drawn.setdefault(way, []).append(unit.pop("samples"))
        if unit:  # what the first one has beside its samples
            save_file(unit, job.output("results/frames.safetensors"))
    pictures = {way: torch.cat(units)[: artist.ways[way].count] for way, units in drawn.items()}
    save_file({"samples": pictures["samples"]}, job.output("results/samples.safetensors"))
    for kind in ("progress", "study"):
        ways = [way for way in pictures if way.startswith(kind)]
        none = torch.empty(0, 0, *pictures["samples"].shape[1:], dtype=torch.uint8)
        together = torch.stack([pictures[way] for way in ways]) if ways else none
        words = [artist.ways[way].words() for way in ways]
        series.save(job.output(f"results/{kind}.safetensors"), words, together)
    job.facts.update(device=name(artist.device), precision=str(artist.dtype).removeprefix("torch."))


def part(job: Job[Params], number: int, parts: int) -> None:
    """Draw every `parts`-th unit, from the `number`-th on, into the work folder."""
    artist = Artist(job)
    for unit in progress(artist.units[number::parts], f"sample, part {number + 1} of {parts}", unit="batch"):
        artist.unit(*unit)


@dataclass(frozen=True)
class Way:
    """How `count` pictures are drawn: with which weights (ema, posthoc, raw, or a snapshot by its step), and how."""

    weights: str | int
    sampler: str
    evaluations: int
    count: int

    def words(self) -> series.Way:
        """Return what tells it from others of its kind."""
        if isinstance(self.weights, int):
            return {"step": self.weights}
        return {"weights": self.weights, "sampler": self.sampler, "evaluations": self.evaluations}


class Artist:
    """The model, loaded once, with all the ways in which this run draws from it."""

    def __init__(self, job: Job[Params]) -> None:
        self.p = p = job.params
        self.device = prepare(job.threads)
        self.size = UNIT_ON_GPU if self.device.type == "cuda" else UNIT
        self.network, self.spec = model.load(job.input("results/model.safetensors"), self.device)
        self.snapshots = job.input("results/snapshots.safetensors")
        self.course = posthoc.course(self.snapshots)
        self.ways = {"samples": Way(p.weights, p.sampler, p.sample_steps, p.samples)}
        for step in self.course:
            self.ways[f"progress-{step}"] = Way(step, p.sampler, p.sample_steps, p.progress_samples)
        for number, entry in enumerate(p.study):
            weights, sampler, evaluations = parsed(entry)
            self.ways[f"study-{number}"] = Way(weights or p.weights, sampler, evaluations, p.samples)
        self.units = [(name, unit) for name, way in self.ways.items() for unit in range(-(-way.count // self.size))]
        self.dtype = compute_dtype(self.spec.precision, self.device)
        self.work = job.work / f"{self.device.type}-{self.dtype}-{job.threads}"
        # Units of one way follow each other, and the networks of several would take memory.
        self.ready = lru_cache(maxsize=1)(self._ready)

    def _ready(self, name: str) -> Denoiser:
        """Return the network as the way of that name wants it: with its weights, and guided unless in a snapshot."""
        way, network = self.ways[name], self.network
        if way.weights == "posthoc":
            network = model.with_weights(network, posthoc.combined(self.snapshots, self.p.ema_length))
        elif way.weights == "raw":
            network = model.with_weights(network, posthoc.raw(self.snapshots))
        elif isinstance(way.weights, int):
            network = model.with_weights(network, posthoc.earlier(self.snapshots, way.weights / max(self.course)))
        many = way.count * way.evaluations >= MANY
        if self.p.guidance == 1 or isinstance(way.weights, int):
            return denoiser(network, self.spec, self.device, many)
        earlier = posthoc.earlier(self.snapshots, self.p.guide)
        return guided_denoiser(network, earlier, self.p.guidance, self.spec, self.device, many)

    def unit(self, name: str, number: int) -> dict[str, Tensor]:
        """Return a unit of the way `name`, read where this very run drew it already: uint8 `samples` [size, 3, h, w].

        The first unit of the samples has a film of its first pictures as well: `t` [f], and uint8 [f, n, 3, h, w] `x_t`
        and `x0`, the picture that the network then saw.
        """
        path = self.work / f"unit-{name}-{number:06d}.safetensors"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}")
            save_file(self._drawn(name, number), partial)
            partial.replace(path)
        return load_file(path)

    def _drawn(self, name: str, number: int) -> dict[str, Tensor]:
        way, ready = self.ways[name], self.ready(name)
        steps = SPACINGS[self.p.spacing](ready.schedule, levels(way.sampler, way.evaluations))
        end, filmed = len(steps) - 1, (name, number) == ("samples", 0)
        kept = {round(frame * end / (self.p.frames - 1)) for frame in range(self.p.frames)} if filmed else {end}
        moments = self._moments(ready, way.sampler, steps, number)
        *_, last = frames = [moment for i, moment in enumerate(moments) if i in kept]
        unit = {"samples": self._pictures(last.x0)}
        if filmed:
            shown = slice(min(FILMED, way.count))
            unit["t"] = torch.tensor([moment.t for moment in frames])
            unit["x_t"] = torch.stack([self._pictures(moment.x_t[shown]) for moment in frames])
            unit["x0"] = torch.stack([self._pictures(moment.x0[shown]) for moment in frames])
        return unit

    def _pictures(self, x: Tensor) -> Tensor:
        return self.spec.pictures(x).cpu()

    @torch.inference_mode()
    def _moments(self, ready: Denoiser, sampler: str, steps: Sequence[int], number: int) -> Iterator[Moment]:
        """Yield the noise removal of unit `number`; picture i's noise is a function of (sample_seed, i, step) alone."""
        layout, size = memory_format(self.device), self.spec.architecture.image_size
        pictures = range(number * self.size, (number + 1) * self.size)

        def noise(step: int) -> Tensor:
            drawn = [
                torch.randn(3, size, size, generator=generator(self.p.sample_seed, f"picture {i}", step))
                for i in pictures
            ]
            return torch.stack(drawn).to(self.device, memory_format=layout)

        yield from choose(sampler, self.p.eta)(ready, noise(0), steps, lambda i: noise(i + 1))
