"""The training loop: train step by step, log, save checkpoints, and stop on SIGTERM."""

import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from omokage.base.environment import read_positive
from omokage.base.errors import Interrupted
from omokage.base.progress import show_progress
from omokage.diffusion.model import ModelSpec
from omokage.training.checkpoint import load_checkpoint, save_checkpoint
from omokage.training.config import ComputeConfig, TrainingConfig
from omokage.training.trainer import Probe, Row, Trainer, TrainingResult

# Seconds between two checkpoints; OMOKAGE_CHECKPOINT_SECONDS sets another interval.
CHECKPOINT_SECONDS = 30.0


def train(
    faces: Tensor,
    spec: ModelSpec,
    config: TrainingConfig,
    compute: ComputeConfig,
    work: Path,
    log: Callable[[Row], None],
    probe: Probe | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> TrainingResult:
    """Train on uint8 faces [n, 3, h, w], and return the result.

    `log` gets a row of the loss table every `log_every` steps. At the steps of `choose_probe_steps`, the row includes
    the errors that `probe` returns. Training starts with random weights, or with `weights` (see Trainer). It resumes
    from the newest checkpoint in `work`. A resumed run logs all earlier rows again, so it writes the same table as an
    uninterrupted run. Raises UserError if the training diverges, and Interrupted after SIGTERM, once a checkpoint is
    saved.
    """
    trainer = Trainer(faces, spec, config, compute, weights)
    if state := load_checkpoint(work):
        trainer.load_state_dict(state)
        for row in trainer.rows:
            log(row)
    last_saved, interval = time.monotonic(), read_positive("OMOKAGE_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS)
    label = f"train {faces.shape[-1]} px"
    bar = show_progress(range(trainer.step, config.steps), label, total=config.steps, initial=trainer.step, unit="step")
    with catch_sigterm() as is_interrupted:
        for _ in bar:
            trainer.advance()
            if trainer.step % config.log_every == 0 or trainer.step == config.steps:
                row = trainer.make_row(probe)
                log(row)
                bar.set_postfix_str(f"loss {row['loss']:.4f}", refresh=False)
            must_stop = is_interrupted()
            # After the last step as well: what follows can be interrupted, too.
            if must_stop or trainer.step == config.steps or time.monotonic() - last_saved > interval:
                trainer.check_divergence()
                if compute.group.rank == 0:
                    save_checkpoint(work, trainer.step, trainer.state_dict())
                last_saved = time.monotonic()
            if must_stop:
                raise Interrupted(f"stopped after step {trainer.step}: run the same command to resume")
    return trainer.make_result()


@contextmanager
def catch_sigterm() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGTERM has arrived.

    Within the block SIGTERM does not end the process.
    """
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield lambda: bool(received)
    finally:
        signal.signal(signal.SIGTERM, previous)
