"""The texts of the sections that describe a run and judge nothing. Each function returns a heading and blocks."""

from collections.abc import Mapping, Sequence
from typing import Any

from omokage.report.content import Block, Code, CodeBlock, DenoisingPlayer, Inline, Paragraph
from omokage.report.evidence import Evidence
from omokage.report.parameters import UNCHANGED, format_params_file, tabulate_parameters
from omokage.report.run import Run
from omokage.report.training_settings import tabulate_sampling
from omokage.report.wording import format_count, format_number, format_percent, join_words
from omokage.stamps.records import Record, find_record

COMMANDS = """\
make install && . .venv/bin/activate
# run the stages that are not up to date
dvc repro
# show what made this page or a figure
omokage why results/report.html
# change one parameter and rerun
dvc exp run -S lr=1e-3
"""
REVERSE_PROCESS = (
    "The reverse process is a sequence of steps from a timestep t to an earlier one, s. The network's prediction at "
    "x_t gives the clean image x̂_0 and the noise ε̂ = (x_t − α_t x̂_0) / σ_t. A step of DDPM draws x_s from a normal "
    "distribution with the mean (α_t|s σ_s² x_t + α_s σ_t|s² x̂_0) / σ_t² and the variance σ_t|s² σ_s² / σ_t², where "
    "α_t|s = α_t / α_s and σ_t|s² = σ_t² − α_t|s² σ_s². It is the distribution of x_s in the forward process, given "
    "x_t and x̂_0. A step of DDIM (η = 0) draws nothing: x_s = α_s x̂_0 + σ_s ε̂. In x̂_0, colours beyond black and white "
    "are clipped."
)
# How a step of the run's sampler differs from those of REVERSE_PROCESS.
OTHER_STEPS = {
    "ddpm-large": "The sampler of this run, ddpm-large, takes DDPM's step with the larger variance σ_t|s².",
    "heun": "The sampler of this run, heun, takes DDIM's step with the mean of two x̂_0: at its start and at its end "
    "(Karras et al. 2022).",
    "dpm-solver++": "The sampler of this run, dpm-solver++, takes DDIM's step with an x̂_0 extrapolated from two "
    "steps (Lu et al. 2022).",
}
# A heading, and the blocks below it. A string that is the name of a figure stands for the figure.
Content = tuple[str, Sequence[Block]]


def describe_forward_process(evidence: Evidence) -> Content:
    """Define the noisy image and its noise level."""
    params = evidence.params
    text = (
        "The forward process adds noise: the noisy image at timestep t is x_t = α_t x_0 + σ_t ε, with the clean image "
        "x_0, Gaussian noise ε of variance 1, and σ_t² = 1 − α_t². The share of the image's variance that is left is "
        "ᾱ_t = α_t², and the log-SNR is ln(α_t² / σ_t²), in nats. Half of the variance is left at a log-SNR of 0, "
        f"which a dashed line marks in the figure. The schedule of this run is {params['schedule']}, with "
        f"{params['timesteps']:,} timesteps."
    )
    return "Forward process", [text]


def describe_denoising(run: Run, records: Sequence[Record], player: DenoisingPlayer) -> Content:
    """Show the denoising with the sampler of this run, its settings, and the other samplers of the run."""
    record = find_record(records, "sample")
    params, guided_steps = record["params"], record["facts"].get("guided_steps")
    return "Denoising", [
        f"The sampler of this run is {params['sampler']}.",
        _describe_steps(params),
        player,
        tabulate_sampling(params, guided_steps),
        *_compare_samplers(run, params),
        "samplers",
    ]


def _describe_steps(params: Mapping[str, Any]) -> str:
    """Define the steps of DDPM and DDIM, and what is different in the sampler of this run."""
    sentences = [REVERSE_PROCESS]
    if params["guidance_scale"] > 1:
        sentences.append(
            "Where the autoguidance applies, the prediction is p_g + w (p − p_g), with the scale w and the predictions "
            "p of the network and p_g of the guiding model."
        )
    if params["sampler"] == "ddim" and params["eta"]:
        sentences.append(f"With η = {format_number(params['eta'])}, as here, DDIM also adds noise after each step.")
    elif params["sampler"] in OTHER_STEPS:
        sentences.append(OTHER_STEPS[params["sampler"]])
    return " ".join(sentences)


def _compare_samplers(run: Run, params: Mapping[str, Any]) -> list[Block]:
    """Return what distinguishes DDPM and DDIM, which the figure shows with the same seeds, and where the scores are."""
    text = "DDPM (Ho et al. 2020) adds new noise after each step."
    if params["eta"]:
        text += f" With η = {format_number(params['eta'])}, DDIM (Song et al. 2021) adds some, too."
    else:
        text += " DDIM (Song et al. 2021) adds none, so its sample depends on the starting noise alone."
    if params["guidance_scale"] > 1:
        text += " The NFE in the figure are without those of the guiding model."
    if run.study:
        return [f"{text} The section on sample quality has the scores of all samplers in sampler_study."]
    pointer: list[Inline] = ["Their scores were not compared in this run (", Code("sampler_study"), " is empty); "]
    return [text, Paragraph([*pointer, Code("docs/benchmarks.md"), " compares them."])]


def describe_editing(evidence: Evidence) -> Content:
    """Explain the edits in the figures, with the error of the round trip."""
    params = evidence.params
    strengths = join_words([format_percent(strength) for strength in params["transform_strengths"]])
    low, high = (format_number(limit(evidence.round_trip)) for limit in (min, max))
    return "Image editing", [
        "SDEdit adds noise to a held-out face and removes it again; its strength is the share of the "
        f"{format_count(params['transform_steps'], 'sampling step')} that are run, here {strengths}. DDIM inversion "
        "runs the sampler ddim backwards, from a face to the noise that ddim turns into this face. Each step is solved "
        "by accelerated fixed-point iteration (Pan et al. 2023). After this round trip, the faces have root mean "
        f"square errors of {low} to {high} (of 255). Latent interpolation generates samples with ddim from starting "
        "noise between two others. SDEdit removes the noise with ddpm. All are without autoguidance."
    ]


def list_parameters(records: Sequence[Record], report_params: Mapping[str, Any]) -> Content:
    """List the parameters of the run, those that differ from their defaults first."""
    explanation = Paragraph(
        [
            "The comments in ",
            Code("params.yaml"),
            " explain every parameter. The defaults are those of the preset ",
            Code("laptop"),
            ".",
        ]
    )
    tables = tabulate_parameters(records, report_params)
    has_defaults_only = [table.caption for table in tables] == [UNCHANGED]
    return "Parameters", [
        explanation,
        *(["All parameters of this run have their default."] if has_defaults_only else []),
        *tables,
    ]


def describe_reproduction(records: Sequence[Record], report_params: Mapping[str, Any]) -> Content:
    """Say how to run the same again."""
    return "Reproducing this run", [
        Paragraph(["In a checkout of the code, with the parameters of this run in ", Code("params.yaml"), ":"]),
        CodeBlock("Commands", COMMANDS, "sh"),
        CodeBlock("params.yaml of this run", format_params_file(records, report_params), folded=True),
        Paragraph(
            [
                "This page and each figure carry the parameters, hashes and package versions they were made with. ",
                Code("results/timings.json"),
                " says how long each stage took. Apart from these times, the same run gives the same bytes on the same "
                "kind of device with the same number of CPU threads.",
            ]
        ),
    ]
