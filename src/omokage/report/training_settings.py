"""Build the tables of how the model is trained and of how the samples are generated, each setting with its reason."""

from collections.abc import Iterator, Mapping
from typing import Any

from omokage.report.settings import Row, tabulate_settings
from omokage.report.tables import Table
from omokage.report.wording import format_count, format_number, format_percent

OPTIMISERS = {
    "muon": (
        "Muon for the inner convolutions, AdamW for the other weights",
        "in this project's short trainings Muon needed about half as many images as AdamW",
    ),
    "adamw": ("AdamW for all weights", "the usual optimiser of diffusion models"),
}
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
    "early": "evenly spaced from the noisiest on, with more at high noise, where the overall colours are decided",
    "trailing": "evenly spaced, from the noisiest on, since sampling starts from pure noise",
    "leading": "evenly spaced, without the noisiest",
    "log-snr": "evenly spaced in the log-SNR",
}


def tabulate_training(params: Mapping[str, Any], facts: Mapping[str, Any], faces: int) -> Table:
    """Return a table of the optimiser, the length of the training and the EMA.

    `params` are the parameters of the run, `facts` those of its training, and `faces` is the size of the training set.
    """
    return tabulate_settings("Training settings", _list_training(params, facts, faces))


def tabulate_sampling(params: Mapping[str, Any]) -> Table:
    """Return a table of the sampler, its network evaluations (NFE), the guidance and the weights."""
    return tabulate_settings("Sampling settings", _list_sampling(params))


def _list_training(params: Mapping[str, Any], facts: Mapping[str, Any], faces: int) -> Iterator[Row]:
    steps, images = params["steps"], params["steps"] * params["batch_size"]
    yield "optimiser", *OPTIMISERS[params["optimiser"]]
    yield "learning rate", f"{params['lr']:g} at its peak", _describe_rate(params)
    yield "batch size", format_count(params["batch_size"], "image"), "each epoch shows every face once, in random order"
    yield (
        "length",
        f"{format_count(steps, 'step')}, {images:,} images",
        f"{format_number(images / faces)} epochs of the {faces:,} training faces",
    )
    yield (
        "EMA of the weights",
        f"half-life {format_number(params['ema_half_life'])} images",
        "the average of recent weights jitters less; at the start the half-life is a tenth of the training so far",
    )
    yield (
        "gradient clipping",
        f"norm {format_number(params['grad_clip'])}",
        "one unusual batch cannot spoil the weights",
    )
    dropout = params["dropout"]
    yield "dropout", format_number(dropout), "against overfitting" if dropout else "no dropout"
    is_auto = params["precision"] == "auto"
    reason = f"chosen for this device, {facts['device']}" if is_auto else "set in params.yaml"
    yield "precision", facts["precision"], reason
    yield "seed", str(params["seed"]), "decides the initial weights, the order of the faces, and the noise"


def _describe_rate(params: Mapping[str, Any]) -> str:
    parts = []
    if params["warmup"]:
        parts.append(f"rises over the first {format_percent(params['warmup'])} of the steps")
    if params["decay"]:
        parts.append(f"falls to zero over the last {format_percent(params['decay'])}")
    return " and ".join(parts) or "constant"


def _list_sampling(params: Mapping[str, Any]) -> Iterator[Row]:
    yield "sampler", *_describe_sampler(params)
    scale, evaluations = params["guidance_scale"], params["sample_steps"]
    is_guided = scale > 1
    yield (
        "network evaluations (NFE)",
        f"{evaluations:,} per image" + (f", and {evaluations:,} of the guiding model" if is_guided else ""),
        "each costs one pass through the network; more are slower and remove noise in smaller steps",
    )
    yield "timesteps visited", params["timestep_spacing"], SPACINGS[params["timestep_spacing"]]
    if is_guided:
        snapshot = f"the snapshot nearest to {format_percent(params['guidance_snapshot'])} of the training"
        reason = f"moves away from the errors of {snapshot}, the guiding model (Karras et al. 2024)"
        yield "autoguidance", f"scale {format_number(scale)}", f"{reason}; too much exaggerates colours"
    else:
        yield "autoguidance", "none", "the network is used alone"
    if params["ema_kind"] == "posthoc":
        width = format_number(params["ema_sigma_rel"])
        yield "weights", f"post-hoc EMA of relative width {width}", "computed after the training (Karras et al. 2024)"
    else:
        yield "weights", "EMA", "the average that the training has kept"
    yield "samples", f"{params['samples']:,}, seed {params['sample_seed']}", "all are scored; none is selected"


def _describe_sampler(params: Mapping[str, Any]) -> tuple[str, str]:
    if params["sampler"] != "ddim":
        return SAMPLERS[params["sampler"]]
    eta = params["eta"]
    reason = "no fresh noise: the starting noise alone decides the face" if eta == 0 else "each step adds fresh noise"
    return f"ddim, η = {format_number(eta)}", f"{reason} (Song et al. 2021)"
