"""Stage `train`: train the diffusion model, and write its loss."""

from omokage.base.checkout import REMOTE
from omokage.base.job import Job
from omokage.compute.device import describe_device
from omokage.diffusion.model import save_model
from omokage.diffusion.posthoc_ema import save_snapshots
from omokage.params.train import Params
from omokage.training.loss_table import LossTable
from omokage.training.network_parts import list_parts
from omokage.training.setup import TrainingSetup, warn_of_long_half_life
from omokage.training.validation import write_noise_levels

# Live outputs: written in place while the stage runs, so that the user can watch the training.
LIVE = ("results/half_size_loss.csv", "results/loss.csv", "results/train/metrics.json")


def run(job: Job[Params]) -> None:
    """Write the model with EMA weights, the EMA snapshots, the loss by step, and the error by noise level."""
    setup = _create_setup(job)
    warn_of_long_half_life(setup.config)
    half_size = LossTable(job.output("results/half_size_loss.csv"))
    table = LossTable(job.output("results/loss.csv"), job.output("results/train/metrics.json").parent)
    result = setup.train(job.work, job.threads, table.add, half_size.add)
    half_size.close()
    table.close()
    save_model(job.output("results/model.safetensors"), result.network, setup.spec)
    save_snapshots(job.output("results/snapshots.safetensors"), result.snapshots)
    levels = job.output("results/noise_levels.csv")
    write_noise_levels(levels, result.network, setup.spec, setup.get_splits(), setup.compute, job.params.seed)
    job.facts.update(
        device=describe_device(setup.compute.device),
        precision=str(setup.compute.dtype).removeprefix("torch."),
        parameters=sum(parameter.numel() for parameter in result.network.parameters()),
        network=list_parts(result.network, setup.spec.architecture.image_size),
        mean=list(setup.spec.mean),
        std=setup.spec.std,
        half_size_images=setup.count_half_size_images(),
    )
    if job.params.keep_best:
        job.facts["best_step"] = result.step


def run_worker(job: Job[Params]) -> None:
    """Train in a process of torchrun with a rank above 0.

    Such a process writes no outputs; the process with rank 0 does.
    """
    setup = _create_setup(job)
    setup.train(job.work, job.threads, lambda row: None, lambda row: None)


def _create_setup(job: Job[Params]) -> TrainingSetup:
    initial_model = job.input(f"{REMOTE}models/${{init_from}}")
    return TrainingSetup.create(job.params, job.input("data/faces"), initial_model, job.threads)
