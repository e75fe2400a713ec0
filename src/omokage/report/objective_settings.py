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
SYMBOLS = {"v": "v", "eps": "eps", "x0": "x0"}
REASONS = {
    "simple": "every noise level counts the same",
    "snr": "equal to the unweighted error in the noise of Ho et al. 2020",
    "truncated_snr": "at low noise as in Ho et al. 2020, and noisy levels count, too (Salimans & Ho 2022)",
}
# By prediction: the effect of the weighting min_snr.
MIN_SNR_REASONS = {
    "v": "both ends of the schedule count less; unweighted, they dominate",
    "eps": "low noise counts less, where an error in the noise hardly changes the image",
    "x0": "low noise counts most, up to the limit",
}
# Where the weight is below the minimum loss weight, by loss_weighting and prediction. Other weights are 0.5 or more.
FLOOR_ENDS = {
    ("min_snr", "v"): "at both ends of the schedule",
    ("min_snr", "eps"): "at low noise",
    ("min_snr", "x0"): "at high noise",
    ("snr", "v"): "at high noise",
}
SCHEDULE_REASONS = {
    "cosine": "fewer of its timesteps are nearly pure noise than with linear (Nichol & Dhariwal 2021)",
    "sigmoid": "fewer of its timesteps are nearly pure noise than with linear (Jabri et al. 2022)",
    "linear": "the schedule of Ho et al. 2020; more of its timesteps are nearly pure noise than with cosine or sigmoid",
}
# The side in pixels for which the schedules were made, and a difference from the recommended shift that counts.
BASE_SIDE, MAX_DIFFERENCE = 64, 0.1
# A shift that is not the recommended one but was measured, by side, and what docs/ablation.md says of it.
MEASURED_SHIFTS = {
    64: (
        0.7,
        "measured on avatars (docs/ablation.md, one run each): 0.7 instead of 0 lowered the distance from 55.9 to 50.3 "
        "in batches of 16, and from 99.7 to 92.9 in batches of 64",
    )
}


def tabulate_objective(params: Mapping[str, Any]) -> Table:
    """Return a table of the prediction, the loss and the noise schedule, from the parameters of a run."""
    return tabulate_settings("Objective and noise schedule", _list_rows(params))


def _list_rows(params: Mapping[str, Any]) -> Iterator[Row]:
    prediction, schedule = params["prediction"], params["schedule"]
    yield "prediction", NAMES[prediction], PREDICTION_REASONS[prediction]
    yield _describe_loss(params)
    if params["loss_weighting"] != "simple":
        yield "minimum loss weight", format_number(params["loss_weight_floor"]), _explain_floor(params)
    yield "noise schedule", f"{schedule}, {params['timesteps']:,} timesteps", SCHEDULE_REASONS[schedule]
    yield _describe_shift(params)
    yield _describe_last_timestep(params)
    yield (
        "noise level as input",
        "Fourier features (sines and cosines) of the angle atan2(σ, α), or with steps at half the size atan2(σ/2, α), "
        "and a small multilayer perceptron",
        "unlike the log-SNR, the angle is finite at pure noise",
    )
    yield (
        "timesteps of a batch",
        f"one from each of {params['batch_size']:,} equal parts of the schedule",
        "the loss varies less from step to step than with independent timesteps",
    )


def _describe_loss(params: Mapping[str, Any]) -> Row:
    weighting, prediction = params["loss_weighting"], params["prediction"]
    reason = f"{MIN_SNR_REASONS[prediction]} (Hang et al. 2023)" if weighting == "min_snr" else REASONS[weighting]
    if weighting == "snr" and _has_effective_floor(params):
        reason += f", except {FLOOR_ENDS[weighting, prediction]}, where the minimum weight holds"
    weight = _format_weight(params)
    return (
        "loss",
        f"squared error in {SYMBOLS[prediction]}, {f'with the weight {weight}' if weight else 'unweighted'}",
        reason,
    )


def _format_weight(params: Mapping[str, Any]) -> str:
    """Return the weight of the squared error in the prediction as a formula, or "" if it is 1 at all noise levels.

    As in diffusion/objective.py: a weight of the error in x0, converted to one of the error in the prediction.
    """
    weighting, prediction, gamma = params["loss_weighting"], params["prediction"], params["min_snr_gamma"]
    if weighting == "simple" or (weighting, prediction) == ("snr", "eps"):
        return ""
    in_x0 = {"min_snr": f"min(SNR, {format_number(gamma)})", "snr": "SNR", "truncated_snr": "max(SNR, 1)"}[weighting]
    weight = {"v": f"{in_x0} / (SNR + 1)", "eps": f"{in_x0} / SNR", "x0": in_x0}[prediction]
    if _has_effective_floor(params):
        weight = f"max({format_number(params['loss_weight_floor'])}, {weight})"
    return f"{weight}, which is {format_number(gamma / (gamma + 1))} at most" if _peaks(params) else weight


def _peaks(params: Mapping[str, Any]) -> bool:
    """Return whether the weight has its maximum, gamma / (gamma + 1), between the ends of the schedule."""
    gamma, floor = params["min_snr_gamma"], params["loss_weight_floor"]
    return (params["loss_weighting"], params["prediction"]) == ("min_snr", "v") and floor < gamma / (gamma + 1)


def _has_effective_floor(params: Mapping[str, Any]) -> bool:
    return params["loss_weight_floor"] > 0 and (params["loss_weighting"], params["prediction"]) in FLOOR_ENDS


def _explain_floor(params: Mapping[str, Any]) -> str:
    """Return where the minimum loss weight counts, and why it is there."""
    if not params["loss_weight_floor"]:
        return ""
    if not _has_effective_floor(params):
        return "without effect: no noise level has a smaller weight" if params["loss_weight_floor"] <= 0.5 else ""
    end = FLOOR_ENDS[params["loss_weighting"], params["prediction"]]
    reason = "" if end == "at low noise" else "; high noise decides the overall colours"
    return f"raises the weight {end}{reason}"


def _describe_shift(params: Mapping[str, Any]) -> Row:
    shift, side = params["log_snr_shift"], params["image_size"]
    recommended = 2 * log(BASE_SIDE / side)
    value = f"{format_number(shift)} nats" if shift else "none"
    if abs(shift - recommended) > MAX_DIFFERENCE:
        reason = f"differs from 2 ln(64 / {side}) = {format_number(recommended)} of Hoogeboom et al. 2023"
        measured, result = MEASURED_SHIFTS.get(side, (None, ""))
        reason += f"; {result}" if shift == measured else ""
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
