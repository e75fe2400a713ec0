"""Build the table of what the network learns: prediction, loss and noise schedule, each with the reason."""

from collections.abc import Iterator, Mapping
from math import log
from typing import Any

from omokage.report.settings import Row, tabulate_settings
from omokage.report.tables import Table
from omokage.report.wording import format_number

# What the network may predict, in words.
NAMES = {
    "v": "the velocity v = α · noise − σ · image",
    "eps": "the noise (eps)",
    "x0": "the clean image (x0)",
}
PREDICTION_REASONS = {
    "v": "v is nearly the noise at low noise and nearly the negative image at high noise, so it is a sensible target "
    "at every noise level (Salimans & Ho 2022)",
    "eps": "the choice of Ho et al. 2020; at high noise a small error in the noise is a large error in the image",
    "x0": "the image is asked for directly; at low noise the input is nearly the answer, so little is learned there",
}
WEIGHTINGS = {
    "simple": ("unweighted", "every noise level counts the same"),
    "snr": ("weighted by SNR", "equal to the unweighted error in the noise of Ho et al. 2020"),
    "truncated_snr": (
        "weighted by max(SNR, 1)",
        "at low noise as in Ho et al. 2020, and noisy levels count, too (Salimans & Ho 2022)",
    ),
}
# By prediction: the effect of the weighting min_snr.
MIN_SNR_REASONS = {
    "v": "medium noise counts most, where the shapes of a face are decided; unweighted, the noisiest levels dominate",
    "eps": "low noise counts less, where an error in the noise hardly changes the image",
    "x0": "low noise counts most, but no level more than γ times as much as one with an SNR of 1",
}
SCHEDULE_REASONS = {
    "cosine": "fewer of its timesteps are nearly pure noise than with linear (Nichol & Dhariwal 2021)",
    "sigmoid": "fewer of its timesteps are nearly pure noise than with linear (Jabri et al. 2022)",
    "linear": "the schedule of Ho et al. 2020; more of its timesteps are nearly pure noise than with cosine or sigmoid",
}
# The side in pixels for which the schedules were made, and a difference from the recommended shift that counts.
BASE_SIDE, MAX_DIFFERENCE = 64, 0.1


def tabulate_objective(params: Mapping[str, Any]) -> Table:
    """Return a table of the prediction, the loss and the noise schedule, from the parameters of a run."""
    return tabulate_settings("Objective and noise schedule", _list_rows(params))


def _list_rows(params: Mapping[str, Any]) -> Iterator[Row]:
    prediction, schedule = params["prediction"], params["schedule"]
    yield "prediction", NAMES[prediction], PREDICTION_REASONS[prediction]
    yield _describe_loss(params)
    if params["loss_weighting"] != "simple":
        floor = params["loss_weight_floor"]
        reason = "keeps the noisiest levels, which decide the overall colours, from being ignored"
        yield "minimum loss weight", format_number(floor), reason if floor else ""
    yield "noise schedule", f"{schedule}, {params['timesteps']:,} timesteps", SCHEDULE_REASONS[schedule]
    yield _describe_shift(params)
    yield _describe_last_timestep(params)
    yield (
        "noise level as input",
        "Fourier features of the angle atan2(σ, α), and a small MLP",
        "unlike the log-SNR, the angle is finite at pure noise",
    )
    yield (
        "timesteps of a batch",
        f"one from each of {params['batch_size']:,} equal parts of the schedule",
        "the loss varies less from step to step than with independent timesteps",
    )


def _describe_loss(params: Mapping[str, Any]) -> Row:
    if params["loss_weighting"] == "min_snr":
        words = f"weighted by min(SNR, γ) with γ = {format_number(params['min_snr_gamma'])} (min-SNR)"
        reason = f"{MIN_SNR_REASONS[params['prediction']]} (Hang et al. 2023)"
    else:
        words, reason = WEIGHTINGS[params["loss_weighting"]]
    # The weights of all but `simple` are those of the error in x0.
    error = "the image" if words != "unweighted" else "the prediction"
    return "loss", f"squared error in {error}, {words}", reason


def _describe_shift(params: Mapping[str, Any]) -> Row:
    shift, side = params["log_snr_shift"], params["image_size"]
    recommended = 2 * log(BASE_SIDE / side)
    value = f"{format_number(shift)} nats" if shift else "none"
    if abs(shift - recommended) > MAX_DIFFERENCE:
        reason = f"the rule for {side} pixels is 2 ln(64 / {side}) = {format_number(recommended)}"
    elif side == BASE_SIDE:
        reason = "the schedules were made for 64 pixels"
    else:
        size, less = ("smaller", "less") if side < BASE_SIDE else ("larger", "more")
        reason = (
            f"2 ln(64 / {side}), rounded: the schedules were made for 64 pixels, and a {size} image needs {less} noise "
            "to be hidden as much (Hoogeboom et al. 2023)"
        )
    return "shift of the log-SNR", value, reason


def _describe_last_timestep(params: Mapping[str, Any]) -> Row:
    if params["zero_snr"]:
        return "last timestep", "pure noise", "training then ends where sampling starts (Lin et al. 2024)"
    reason = (
        "with linear it shows the mean brightness, which sampling starts without"
        if params["schedule"] == "linear"
        else "with this schedule it is too weak to matter"
    )
    return "last timestep", "noise with a trace of the image", reason
