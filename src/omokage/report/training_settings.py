"""Build the tables of how the model is trained and of how the samples are generated, each setting with its reason."""

from collections.abc import Iterator, Mapping
from typing import Any

from omokage.report.settings import Row, tabulate_settings
from omokage.report.tables import Table
from omokage.report.wording import format_count, format_number, format_percent

ALL_NOISE_LEVELS = -100  # the lowest value of guidance_min_log_snr, which is below every noise level
OPTIMISERS = {
    "muon": (
        "Muon for the inner convolutions, AdamW for the other weights",
        "Muon makes the singular values of each update about equal; in docs/ablation.md, 20,000 images with Muon had "
        "the effect of 36,000 with AdamW, which scales each weight's update by its recent gradients",
    ),
    "adamw": (
        "AdamW for all weights",
        "it scales each weight's update by its recent gradients; the usual optimiser of diffusion models",
    ),
}
RATES = {
    "muon": "in docs/ablation.md (one run each), 0.0035 and 0.006 gave distances of 51.3 and 50.3 at 64 pixels in "
    "batches of 16 after 25,600 images, and 0.004 and 0.006 gave 26.6 and 27.6 at 32 pixels in batches of 64 after "
    "70,656",
    "adamw": "docs/ablation.md has 0.0015 with AdamW",
}
# By (image_size, batch_size): what docs/ablation.md says of the batch size.
BATCH_SIZES = {
    (64, 16): "in docs/ablation.md, batches of 16 instead of 64 lowered the distance from 99.7 to 55.9 after as many "
    "images (one run each)",
}
LENGTH = "in docs/ablation.md, 64,000 images instead of 25,600 lowered the distance from 50.3 to 35.7 (avatars)"
HALF_SIZE = "progressive training (Gu et al. 2023): such an image takes less time, and shows colours and layout"
HALF_SIZE_GAIN = "; in docs/ablation.md it lowered the distance from 35.8 to 23.8 (avatars)"
SAMPLERS = {
    "ddpm": (
        "ddpm: ancestral sampling, variance of the posterior",
        "each step adds fresh noise, so later steps can correct errors of earlier ones (Ho et al. 2020)",
    ),
    "ddpm-large": (
        "ddpm-large: ancestral sampling, variance β",
        "each step adds fresh noise, more than with ddpm (Ho et al. 2020)",
    ),
    "dpm-solver++": (
        "dpm-solver++ (2M)",
        "second order with one network evaluation a step, so few steps suffice (Lu et al. 2022)",
    ),
    "heun": ("heun", "second order with two network evaluations a step (Karras et al. 2022)"),
}
SPACINGS = {
    "early": "evenly spaced, and up to a sixth of them at the noisiest levels, where the overall colours are decided",
    "trailing": "evenly spaced, from the noisiest on, since sampling starts from pure noise",
    "leading": "evenly spaced, without the noisiest",
    "log-snr": "evenly spaced in the log-SNR",
}


def tabulate_training(params: Mapping[str, Any], facts: Mapping[str, Any], faces: int) -> Table:
    """Return a table of the optimiser, the length of the training and the EMA.

    `params` are the parameters of the run, `facts` those of its training, and `faces` is the size of the training set.
    """
    return tabulate_settings("Training settings", _list_training(params, facts, faces))


def tabulate_sampling(params: Mapping[str, Any], guided_steps: int | None = None) -> Table:
    """Return a table of the sampler, its network evaluations (NFE), the guidance and the weights."""
    return tabulate_settings("Sampling settings", _list_sampling(params, guided_steps))


def describe_evaluations(params: Mapping[str, Any], guided_steps: int | None = None) -> str:
    """Return in words how many steps the sampler takes and how often it evaluates the network and the guiding model.

    `guided_steps` is the number of visited timesteps at which the autoguidance applies, None for older records.
    """
    per_step = 2 if params["sampler"] == "heun" else 1
    # As in sampling/samplers.py: the last step takes one evaluation.
    steps = (params["sample_steps"] - 1) // per_step + 1
    evaluations = per_step * (steps - 1) + 1
    text = format_count(steps, "step")
    number = "one evaluation" if per_step == 1 else "two evaluations (the last: one)"
    if params["guidance_scale"] == 1:
        text += f", each with {number} of the network"
        return text if per_step == 1 else f"{text}: {evaluations:,} in all"
    guiding = "one" if per_step == 1 else "as many"
    if _is_limited(params):
        text += (
            f", each with {number} of the network and, where the autoguidance applies, {guiding} of the guiding model"
        )
        if guided_steps is None:
            return f"{text}: at most {2 * evaluations:,} in all"
        # Heun evaluates every timestep twice, but the first, the noisiest, once. The guided timesteps are the last.
        guided = per_step * guided_steps - (1 if per_step == 2 and guided_steps == steps else 0)
        return f"{text}: {evaluations + guided:,} in all"
    return f"{text}, each with {number} of the network and {guiding} of the guiding model: {2 * evaluations:,} in all"


def _is_limited(params: Mapping[str, Any]) -> bool:
    """Return whether the autoguidance applies only at some of the noise levels."""
    return bool(params["guidance_min_log_snr"] > ALL_NOISE_LEVELS)


def _list_training(params: Mapping[str, Any], facts: Mapping[str, Any], faces: int) -> Iterator[Row]:
    steps, images = params["steps"], params["steps"] * params["batch_size"]
    yield "optimiser", *OPTIMISERS[params["optimiser"]]
    yield _describe_rate(params)
    measured = BATCH_SIZES.get((params["image_size"], params["batch_size"]), "")
    yield "batch size", format_count(params["batch_size"], "image"), measured
    epochs = f"{format_number(images / faces)} epochs of the {faces:,} training faces"
    yield (
        "length",
        f"{format_count(steps, 'step')}, {images:,} images, {epochs}",
        LENGTH if params["image_size"] == 64 else "",
    )
    if half_size_images := facts.get("half_size_images"):
        side = params["image_size"] // 2
        yield (
            "steps at half the size",
            f"before these: {format_count(params['half_size_steps'], 'step')}, {half_size_images:,} images "
            f"of {side} × {side} pixels, without the first level of the network",
            HALF_SIZE + (HALF_SIZE_GAIN if params["image_size"] == 64 else ""),
        )
    if params["init_from"] != "none":
        yield (
            "initial weights",
            f"those of the model file {params['init_from']}",
            "fewer steps are needed than from random weights; the optimiser starts afresh",
        )
    yield (
        "EMA of the weights",
        f"half-life {format_number(params['ema_half_life'])} images",
        "the average of recent weights varies less; at the start the half-life is a tenth of the training so far",
    )
    yield (
        "gradient clipping",
        f"norm {format_number(params['grad_clip'])}",
        "one unusual batch cannot spoil the weights",
    )
    dropout = params["dropout"]
    yield (
        "dropout",
        format_number(dropout),
        "against overfitting" if dropout else "it helps only if the held-out error rises",
    )
    is_auto = params["precision"] == "auto"
    yield "precision", facts["precision"], f"chosen for this device, {facts['device']}" if is_auto else ""
    if params["keep_best"]:
        yield (
            "model that is kept",
            f"the EMA after step {facts['best_step']:,}",
            "it has the lowest error on held-out faces of the six that were measured, so that error is too good"
            + ("; the samples are from the post-hoc EMA instead" if params["ema_kind"] == "posthoc" else ""),
        )
    initial = "the initial weights, " if params["init_from"] == "none" else ""
    yield "seed", str(params["seed"]), f"decides {initial}the order of the faces, and the noise"


def _describe_rate(params: Mapping[str, Any]) -> Row:
    parts, reasons = [], [RATES[params["optimiser"]]]
    if params["warmup"]:
        parts.append(f"rises over the first {format_percent(params['warmup'])} of the steps")
        reasons.append("small first steps, while the weights are random")
    if params["decay"]:
        parts.append(f"falls to zero over the last {format_percent(params['decay'])}")
        reasons.append("small last steps, which average out the noise of the batches")
    if not parts:
        return "learning rate", f"{params['lr']:g}, constant", reasons[0]
    return "learning rate", f"{params['lr']:g} at its peak; {' and '.join(parts)}", "; ".join(reasons)


def _list_sampling(params: Mapping[str, Any], guided_steps: int | None) -> Iterator[Row]:
    yield "sampler", *_describe_sampler(params)
    scale = params["guidance_scale"]
    is_guided = scale > 1
    yield (
        "network evaluations (NFE)",
        f"per image: {describe_evaluations(params, guided_steps)}",
        "",
    )
    yield "timesteps visited", params["timestep_spacing"], SPACINGS[params["timestep_spacing"]]
    if is_guided:
        snapshot = f"the snapshot nearest to {format_percent(params['guidance_snapshot'])} of the training"
        reason = f"moves away from the errors of {snapshot}, the guiding model (Karras et al. 2024)"
        level = f", at a log-SNR of at least {params['guidance_min_log_snr']:g}" if _is_limited(params) else ""
        yield "autoguidance", f"scale {format_number(scale)}{level}", f"{reason}; too much exaggerates colours"
    else:
        yield "autoguidance", "none", "it would double the time of a step"
    if params["ema_kind"] == "posthoc":
        width = format_number(params["ema_sigma_rel"])
        yield "weights", f"post-hoc EMA of relative width {width}", "computed after the training (Karras et al. 2024)"
    else:
        yield "weights", "EMA", "the average of recent weights has less noise than the last weights"
    yield "samples", f"{params['samples']:,}, seed {params['sample_seed']}", "all are scored; none is selected"


def _describe_sampler(params: Mapping[str, Any]) -> tuple[str, str]:
    if params["sampler"] != "ddim":
        return SAMPLERS[params["sampler"]]
    eta = params["eta"]
    reason = "no fresh noise: the starting noise alone decides the face" if eta == 0 else "each step adds fresh noise"
    return f"ddim, η = {format_number(eta)}", f"{reason} (Song et al. 2021)"
