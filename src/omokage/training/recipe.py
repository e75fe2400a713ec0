"""How to train, apart from what: lengths and rates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How to train: `batch_size` pictures a step, `warmup` and `decay` as fractions of `steps`.

    `ema_half_life` is in pictures; `optimiser` is muon or adamw, `weighting` a key of objective.WEIGHTINGS or simple.
    """

    optimiser: str
    lr: float
    warmup: float
    decay: float
    batch_size: int
    steps: int
    ema_half_life: float
    grad_clip: float
    weighting: str
    min_snr_gamma: float
    weight_floor: float
    flip: bool
    seed: int
    log_every: int

    def lr_at(self, step: int) -> float:
        """Return the learning rate of `step` (from 0): linear warm-up, plateau, linear decay to zero."""
        rise = (step + 1) / max(1.0, self.warmup * self.steps)
        fall = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(1.0, rise, fall)
