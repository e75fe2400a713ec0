"""The figures of the report: the section that shows each of them, and its caption.

A caption says what a figure is, and alt_texts.py what it shows. Snakemake's report has the sections as categories.
"""

from dataclasses import dataclass
from typing import Literal

# The headings of the report that have figures. The figures of `Samples` are at the top, without a heading.
Section = Literal[
    "Samples",
    "Denoising",
    "Model",
    "Sample quality",
    "Style",
    "Memorisation",
    "Training",
    "Hyperparameter study",
    "Image editing",
    "Forward process",
    "Data",
]


@dataclass(frozen=True)
class Caption:
    """The section and the caption of a figure; `is_wide` lets it have the full width of the page."""

    section: Section
    text: str
    is_wide: bool = False


# By the name of the figure's file without its suffix, in the order of the report.
CAPTIONS: dict[str, Caption] = {
    "samples": Caption(
        "Samples",
        "Samples of the model (left) and held-out real faces (right). Both are the first of their set, in order, "
        "not selected. Colours are rounded to multiples of 4 of 255.",
        is_wide=True,
    ),
    # The name of denoising.gif, since denoising.png is another figure.
    "animation": Caption(
        "Denoising",
        "Denoising of a few samples, from pure noise to the clean image, on which the animation pauses. Above: the "
        "timestep t, and the log signal-to-noise ratio (log-SNR) in nats.",
    ),
    "denoising": Caption(
        "Denoising",
        "Denoising of a few samples, from pure noise to the clean image: the noisy image x_t at timestep t, and the "
        "clean image that the network predicts from it. The columns are some of the sampler's steps.",
    ),
    "samplers": Caption(
        "Denoising",
        "Samples by sampler and network evaluations (NFE), with one seed in each column. The first row is from this "
        "run's own sampler, the second from DDIM or DDPM with as many evaluations.",
        is_wide=True,
    ),
    "architecture": Caption(
        "Model",
        "The network. A box has the resolution and the channels of its features, and below them the number of residual "
        "blocks and of parameters. Orange boxes have self-attention. Dashed: skip connections, and the noise "
        "level, which every block gets.",
    ),
    "scores": Caption(
        "Sample quality",
        "Scores of the samples (no unit) next to the scores of real faces. "
        "Lines through the bars are 95\u00a0% intervals.",
    ),
    "progress": Caption("Sample quality", "Score by training step, from the samples of each snapshot."),
    "study": Caption(
        "Sample quality",
        "Scores by sampler and kind of EMA weights, by evaluations of the model itself per image (NFE). The star is "
        "the score of the run's own samples, and the dashed line that of real faces.",
    ),
    "style": Caption(
        "Style",
        "Distributions of six measures of style over samples, held-out faces and training faces: the mean of each "
        "colour (0 to 255), contrast, saturation and sharpness, as defined in the table. The "
        "height is the share of the images. Vertical lines are means.",
    ),
    "neighbours": Caption(
        "Memorisation",
        "Samples that are closest to the training set, each above its nearest training face and its nearest held-out "
        "face. Distances in pixels are after alignment, in grey levels.",
    ),
    "loss": Caption(
        "Training",
        "Mean squared error by training step, on whitened images, without unit or loss weights, logarithmic. Grey: the "
        "training loss of the network without EMA. The thin line has the means over the steps since the value before, "
        "the thick one, if any, a moving average. Dotted, if there: the moving average over the steps before, at half "
        "the image size and at other noise levels. In colour: the EMA network on as many training and held-out faces. "
        "Below: the learning rate.",
    ),
    "noise_levels": Caption(
        "Training",
        "Mean squared error of the EMA network by noise level, given as log signal-to-noise ratio in nats: noise on "
        "the left, clean images on the right.",
    ),
    "hyperparameters": Caption(
        "Hyperparameter study",
        "The project's study: distance by learning rate, for each prediction and noise schedule. Each run is a marker, "
        "and lines connect the means over the seeds.",
        is_wide=True,
    ),
    "transformed": Caption(
        "Image editing",
        "Image editing (SDEdit) of held-out faces: noise is added and removed again. The strength is the share of the "
        "sampling steps that are run. Below: the DDIM inversion round trip and its error.",
    ),
    "between": Caption(
        "Image editing",
        "Latent interpolation: samples along an arc from one starting noise to another.",
        is_wide=True,
    ),
    "schedule": Caption(
        "Forward process",
        "Noise schedule by timestep: the remaining share of the image's variance, and the log signal-to-noise ratio "
        "in nats. The other schedules are faint.",
    ),
    "noising": Caption(
        "Forward process",
        "A held-out face at some timesteps t of the schedule, with the log signal-to-noise ratio in nats below.",
        is_wide=True,
    ),
    "data_card": Caption(
        "Data",
        "The data: how many faces were kept or dropped, the sizes of the images, and the colours of training and "
        "held-out faces. Below: faces of both sets, and some dropped faces with the reason.",
        is_wide=True,
    ),
    "contact": Caption(
        "Data",
        "Some images of the data set, with a frame around each face: blue if kept, orange if dropped.",
        is_wide=True,
    ),
}


def find_path(name: str) -> str:
    """Return the path of the figure `name`, relative to results/: a PNG, or the GIF."""
    return f"figures/{'denoising.gif' if name == 'animation' else f'{name}.png'}"
