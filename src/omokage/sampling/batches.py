"""Generate samples in batches of a fixed size, with one seed per image.

The bytes of a sample do not depend on the number of samples or of jobs. Each job writes some of the batches to the
run's work folder. The stage then collects all batches, and generates those that are missing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omokage.base.files import write_atomically
from omokage.base.job import Job
from omokage.compute.device import choose_dtype, prepare_device
from omokage.compute.micro_batch import limit_batch, read_micro_batch
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import copy_with_weights, load_model
from omokage.params.sample import Params, parse_study_entry
from omokage.sampling.denoiser import Denoiser, make_denoiser
from omokage.sampling.frames import choose_steps, stack_frames
from omokage.sampling.generator import ImageGenerator
from omokage.sampling.guidance import make_guided_denoiser
from omokage.sampling.sample_sets import Label
from omokage.sampling.samplers import count_timesteps, get_sampler
from omokage.sampling.spacing import SPACINGS

# Images per batch. A GPU takes as long for a few images as for many.
BATCH_SIZE, GPU_BATCH_SIZE = 32, 128
# Network evaluations of a sample set above which compiling the network saves time.
MIN_EVALUATIONS_TO_COMPILE = 100_000
FRAME_IMAGES = 8  # images whose denoising is saved, frame by frame
COUNTERPART_IMAGES = 10  # samples from the counterpart of the sampler


@dataclass(frozen=True)
class SamplingConfig:
    """The settings for one set of `count` samples.

    `weights` is ema, posthoc, raw, or the step of a training snapshot. `evaluations` is the number of network
    evaluations per image (NFE).
    """

    weights: str | int
    sampler: str
    evaluations: int
    count: int

    def make_label(self) -> Label:
        """Return the label of the set (see sample_sets): the settings that differ between the sets in its file."""
        if isinstance(self.weights, int):
            return {"step": self.weights}
        return {"weights": self.weights, "sampler": self.sampler, "evaluations": self.evaluations}


def list_sample_sets(p: Params, snapshot_steps: Sequence[int]) -> dict[str, SamplingConfig]:
    """Return the settings of all sample sets of a run, by the name of the set.

    The set `samples` holds the samples of the run. The set `counterpart` has the first of them from another sampler:
    DDIM, which adds no noise, next to DDPM, and DDPM next to the others. There is a set `progress-STEP` for each
    training snapshot, and a set `study-NUMBER` for each entry of the parameter `sampler_study`.
    """
    counterpart = "ddim" if p.sampler.startswith("ddpm") else "ddpm"
    sets = {
        "samples": SamplingConfig(p.ema_kind, p.sampler, p.sample_steps, p.samples),
        "counterpart": SamplingConfig(p.ema_kind, counterpart, p.sample_steps, min(COUNTERPART_IMAGES, p.samples)),
    }
    for step in snapshot_steps:
        sets[f"progress-{step}"] = SamplingConfig(step, p.sampler, p.sample_steps, p.progress_samples)
    for number, entry in enumerate(p.sampler_study):
        weights, sampler, evaluations = parse_study_entry(entry)
        sets[f"study-{number}"] = SamplingConfig(weights or p.ema_kind, sampler, evaluations, p.samples)
    return sets


class BatchSampler:
    """Generates the batches of all sample sets of a run. The model is loaded once.

    The attribute `batches` lists all batches as (name of the set, number of the batch).
    """

    def __init__(self, job: Job[Params]) -> None:
        self.p = p = job.params
        self.device = prepare_device(job.threads)
        self.batch_size = choose_batch_size(self.device)
        self.network, self.spec = load_model(job.input("results/model.safetensors"), self.device)
        self.snapshots = job.input("results/snapshots.safetensors")
        self.snapshot_steps = posthoc_ema.list_snapshot_steps(self.snapshots)
        self.sets = list_sample_sets(p, self.snapshot_steps)
        if any(config.weights == "posthoc" for config in self.sets.values()):
            posthoc_ema.check_sigma_rel(self.snapshots, p.ema_sigma_rel)
        self.batches = [
            (name, number)
            for name, config in self.sets.items()
            for number in range(-(-config.count // self.batch_size))
        ]
        self.dtype = choose_dtype(self.spec.precision, self.device)
        self.micro_batch = limit_batch(self.batch_size, read_micro_batch())
        # Rounding depends on these, and on the number of images that the network processes at once.
        self.work = job.work / f"{self.device.type}-{self.dtype}-{job.threads}-{self.micro_batch}"
        # Only one denoiser is cached, because the batches of a set follow each other and each network takes memory.
        self._get_denoiser = lru_cache(maxsize=1)(self._make_denoiser)

    def generate(self, name: str, number: int) -> dict[str, Tensor]:
        """Return batch `number` of the set `name`, as `samples`, uint8 [batch, 3, h, w].

        If this run has generated the batch before, it is read from the work folder. The first batch of the set
        `samples` also has the frames of the denoising of its first images (see frames.stack_frames).
        """
        path = self.work / f"batch-{name}-{number:06d}.safetensors"
        if not path.exists():
            with write_atomically(path) as partial:
                save_file(self._generate_batch(name, number), partial)
        return load_file(path)

    def collect(self, batches: Mapping[str, list[Tensor]], kind: str) -> tuple[list[Label], Tensor]:
        """Return the labels and the samples, uint8 [sets, n, 3, h, w], of all sets of a kind.

        `batches` maps the name of a set to its batches. The kind is counterpart, progress or study.
        """
        names = [name for name in self.sets if name.startswith(kind) and name in batches]
        images = [torch.cat(batches[name])[: self.sets[name].count] for name in names]
        size = self.spec.architecture.image_size
        empty = torch.empty(0, 0, 3, size, size, dtype=torch.uint8)
        return [self.sets[name].make_label() for name in names], torch.stack(images) if images else empty

    def _make_denoiser(self, name: str) -> Denoiser:
        """Return the denoiser for the set `name`.

        Autoguidance is not used for sets from training snapshots.
        """
        config, network = self.sets[name], self.network
        if config.weights == "posthoc":
            network = copy_with_weights(network, posthoc_ema.synthesise_ema(self.snapshots, self.p.ema_sigma_rel))
        elif config.weights == "raw":
            network = copy_with_weights(network, posthoc_ema.load_raw_weights(self.snapshots))
        elif isinstance(config.weights, int):
            network = copy_with_weights(network, self._load_snapshot(config.weights / max(self.snapshot_steps)))
        compiled = config.count * config.evaluations >= MIN_EVALUATIONS_TO_COMPILE
        if self.p.guidance_scale == 1 or isinstance(config.weights, int):
            return make_denoiser(network, self.spec, self.device, compiled)
        guiding = self._load_snapshot(self.p.guidance_snapshot)
        scale, min_log_snr = self.p.guidance_scale, self.p.guidance_min_log_snr
        return make_guided_denoiser(network, guiding, scale, min_log_snr, self.spec, self.device, compiled)

    def _load_snapshot(self, fraction: float) -> Mapping[str, Tensor]:
        return posthoc_ema.load_nearest_snapshot(self.snapshots, fraction)

    def _generate_batch(self, name: str, number: int) -> dict[str, Tensor]:
        config, denoiser = self.sets[name], self._get_denoiser(name)
        choose_timesteps = SPACINGS[self.p.timestep_spacing]
        timesteps = choose_timesteps(denoiser.schedule, count_timesteps(config.sampler, config.evaluations))
        sampler = get_sampler(config.sampler, self.p.eta)
        generator = ImageGenerator(
            denoiser, self.spec, self.device, sampler, timesteps, self.p.sample_seed, self.micro_batch
        )
        first = number * self.batch_size
        images = range(first, first + self.batch_size)
        if (name, number) != ("samples", 0):
            return {"samples": generator.generate(images)[0]}
        log_snr = denoiser.schedule.log_snr[timesteps].tolist()
        chosen, shown = choose_steps(log_snr, self.p.denoising_frames), min(FRAME_IMAGES, config.count)
        samples, steps = generator.generate(images, chosen, shown)
        return {"samples": samples} | stack_frames(steps, [log_snr[i] for i in chosen], samples[:shown])


def choose_batch_size(device: torch.device) -> int:
    """Return the number of images that are generated together on a device."""
    return GPU_BATCH_SIZE if device.type == "cuda" else BATCH_SIZE
