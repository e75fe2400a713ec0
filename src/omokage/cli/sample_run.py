"""Generate the samples of `omokage sample` batch by batch, so that memory does not grow with their number."""

import math
from pathlib import Path
from typing import Any

from omokage.base.environment import read_positive
from omokage.base.errors import UserError
from omokage.base.files import hash_file, write_atomically
from omokage.base.memory import explain_out_of_memory
from omokage.base.progress import show_progress
from omokage.cli.model_source import ModelSource
from omokage.cli.sample import is_archive
from omokage.cli.sample_files import Archive, PngFolder, make_stamp
from omokage.compute.device import choose_dtype
from omokage.figures.sheet import add_margin, tile_images
from omokage.library.loading import load_files
from omokage.library.model import Model
from omokage.library.settings import Settings
from omokage.params.sample import Params
from omokage.pipeline.workflow import THREADS
from omokage.sampling.batches import choose_batch_size
from omokage.stamps.stamp import read_stamp, save_png

Store = PngFolder | Archive


def generate(source: ModelSource, params: Params, out: Path, force: bool) -> Store:
    """Generate the samples that `out` lacks, and return the complete folder or archive.

    The batches have the size of the stage `sample`, because rounding depends on it. Raises UserError if the model
    cannot use the parameters, or if `out` has other samples.
    """
    settings, count = Settings.select(params.values()), params.samples
    if settings.needs_snapshots and source.snapshots is None:
        raise UserError(f"the snapshots of the training are missing: {source.remedy}, or use --guidance 1")
    threads = read_positive("OMOKAGE_THREADS", THREADS)
    with explain_out_of_memory("lower OMOKAGE_MICRO_BATCH"):
        model = load_files(source.model, source.snapshots, threads=threads)
        generator, size = model.make_generator(settings, count), choose_batch_size(model.device)
        description = {
            **describe(source, settings, model),
            "threads": threads,
            "batch_size": size,
            "micro_batch": generator.micro_batch,
        }
        store = (Archive if is_archive(out) else PngFolder)(out, description, count, force)
        if store.is_complete:
            return store
        batches = [range(first, min(first + size, count)) for first in range(0, count, size)]
        missing = [batch for batch in batches if not store.has(batch)]
        done = len(batches) - len(missing)
        for batch in show_progress(missing, "sample", total=len(batches), initial=done, unit="batch"):
            images = generator.generate(range(batch.start, batch.start + size))[0]
            store.write(batch, images[: len(batch)].numpy())
    store.finish()
    return store


def describe(source: ModelSource, settings: Settings, model: Model) -> dict[str, Any]:
    """Return what the samples depend on. The settings that the others make irrelevant are left out."""
    return {
        "sample": settings.list_relevant(),
        "model": hash_file(source.model),
        "snapshots": hash_file(source.snapshots) if source.snapshots and settings.needs_snapshots else None,
        "device": model.device.type,
        "precision": str(choose_dtype(model.spec.precision, model.device)).removeprefix("torch."),
    }


def write_grid(store: Store, count: int, path: Path) -> None:
    """Write a sheet of the first `count` samples, with a stamp."""
    sheet = add_margin(tile_images(store.read(count), math.ceil(count**0.5)))
    with write_atomically(path) as partial:
        save_png(sheet, partial, make_stamp(store.description, samples=count))


def is_sheet(path: Path) -> bool:
    """Return whether a file is a sheet of samples of this command."""
    try:
        return "sample" in read_stamp(path)
    except UserError:
        return False
