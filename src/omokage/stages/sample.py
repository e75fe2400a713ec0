"""Stage `sample`: generate the samples, the frames of their denoising, and the sample sets to compare."""

import torch
from safetensors.torch import save_file
from torch import Tensor

from omokage.base.job import Job
from omokage.base.progress import show_progress
from omokage.compute.device import describe_device
from omokage.params.sample import Params
from omokage.sampling.batches import BatchSampler
from omokage.sampling.sample_sets import save_sample_sets
from omokage.sampling.samplers import count_timesteps
from omokage.sampling.spacing import SPACINGS


def run(job: Job[Params]) -> None:
    """Write the samples, the frames of the denoising of the first samples, and the sample sets to compare.

    There are three kinds of sample sets, and all use the seeds of the samples. `counterpart` has a few samples from
    another sampler. `progress` has a few samples from each training snapshot. `study` has one sample set, of the size
    of the samples, for each entry of the parameter `sampler_study`.
    """
    sampler = BatchSampler(job)
    batches: dict[str, list[Tensor]] = {}
    for name, number in show_progress(sampler.batches, "sample", unit="batch"):
        batch = sampler.generate(name, number)
        batches.setdefault(name, []).append(batch.pop("samples"))
        if batch:  # the denoising frames, which only the first batch has
            save_file(batch, job.output("results/frames.safetensors"))
    images = sum(len(batch) for group in batches.values() for batch in group)
    samples = torch.cat(batches["samples"])[: job.params.samples]
    save_file({"samples": samples}, job.output("results/samples.safetensors"))
    for kind in ("counterpart", "progress", "study"):
        save_sample_sets(job.output(f"results/{kind}.safetensors"), *sampler.collect(batches, kind))
    job.facts.update(
        device=describe_device(sampler.device),
        precision=str(sampler.dtype).removeprefix("torch."),
        images=images,
        guided_steps=_count_guided_steps(sampler),
    )


def _count_guided_steps(sampler: BatchSampler) -> int:
    """Return at how many of the timesteps that the samples visit the autoguidance applies, if there is any."""
    p, schedule = sampler.p, sampler.spec.make_schedule()
    visited = SPACINGS[p.timestep_spacing](schedule, count_timesteps(p.sampler, p.sample_steps))
    return int((schedule.log_snr[visited] >= p.guidance_min_log_snr).sum())


def run_part(job: Job[Params], number: int, parts: int) -> None:
    """Generate every `parts`-th batch, starting with batch `number`, and write them to the work folder."""
    sampler = BatchSampler(job)
    for batch in show_progress(sampler.batches[number::parts], f"sample, part {number + 1} of {parts}", unit="batch"):
        sampler.generate(*batch)
