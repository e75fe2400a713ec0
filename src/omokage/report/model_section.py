"""Write the section on the model: the kind of model, the network and the objective; and one sentence on all of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from omokage.report.content import Block
from omokage.report.objective_settings import NAMES, tabulate_objective
from omokage.report.run import Duration
from omokage.report.settings import merge_params
from omokage.report.tables import Cell, Table
from omokage.report.wording import format_count, format_duration, format_number, format_percent, join_words
from omokage.stamps.records import Record, find_record

HEADING = "Model"
# Kind of a part (see training/network_parts.py) -> its name in the table. A level gets its number appended.
PART_NAMES = {
    "embedding": "noise level embedding",
    "first": "first convolution",
    "half_size": "first convolution, half size",
    "down": "encoder, level",
    "middle": "middle",
    "up": "decoder, level",
    "finish": "last block, full resolution",
    "last": "last convolution",
}
STAND_IN = (
    "It was not trained on illustrations from Kaggle: the presets pixiv-64 and another-anime-64 do that, on a GPU."
)
# A part of the network, as in training/network_parts.py.
Part = Mapping[str, Any]


def describe_model(records: Sequence[Record]) -> tuple[str, list[Block]]:
    """Return heading and blocks of the section on the model, from the parameters and facts in the run records.

    The block "architecture" stands for the figure with this name.
    """
    params, facts = merge_params(records), find_record(records, "train")["facts"]
    network = facts["network"]
    return HEADING, [
        _introduce(params, facts),
        "architecture",
        *_describe_network(network),
        tabulate_network(network),
        tabulate_objective(params),
    ]


def summarise_model(
    records: Sequence[Record], manifest: Mapping[str, Any], faces: Mapping[str, Any], duration: Duration
) -> str:
    """Return a sentence with the model, the data and the training, for the summary of the report.

    `manifest` is the content of data/manifest.json, and `faces` the counts in curation.json.
    """
    params, facts = merge_params(records), find_record(records, "train")["facts"]
    time = "" if duration.training is None else f" in {format_duration(duration.training)}"
    before = ""
    if facts.get("half_size_images"):
        before = f", after {format_count(params['half_size_steps'], 'step')} at half the size,"
    text = (
        f"A diffusion model (UNet, {_shorten_count(facts['parameters'])} parameters) was trained on "
        f"{faces['train']:,} faces of {params['image_size']} × {params['image_size']} pixels ({manifest['name']}) for "
        f"{format_count(params['steps'], 'step')}{before}{time} on {duration.device}."
    )
    return f"{text} {STAND_IN}" if manifest["source"] == "avatars" else text


def _shorten_count(count: int) -> str:
    return f"{count / 1e6:.1f}\u00a0M" if count >= 100_000 else f"{count:,}"


def tabulate_network(network: Sequence[Part]) -> Table:
    """Return a table of the parts of the network, in the order in which they compute."""
    total = sum(part["parameters"] for part in network)
    levels = [part["side"] for part in network if part["kind"] == "down"]
    rows = []
    for number, part in enumerate(network, 1):
        name = PART_NAMES[part["kind"]]
        if part["kind"] in ("down", "up"):
            name += f" {levels.index(part['side']) + 1}"
        side, share = part["side"], part["parameters"] / total
        rows.append(
            [
                Cell(name, number),
                Cell(f"{side} × {side}" if side else "", side),
                Cell(format_number(part["channels"]), part["channels"]),
                Cell(format_number(part["blocks"]) if part["blocks"] else "", part["blocks"]),
                Cell(format_count(part["heads"], "head") if part["heads"] else "", part["heads"]),
                Cell(f"{part['parameters']:,}", part["parameters"]),
                Cell(format_percent(share), share),
            ]
        )
    columns = ["part", "resolution", "channels", "residual blocks", "attention", "parameters", "share"]
    return Table(f"Network: {total:,} parameters", columns, rows)


def _introduce(params: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    return (
        "The model is a denoising diffusion probabilistic model (DDPM, Ho et al. 2020). In training, noise of one of "
        f"{params['timesteps']:,} levels is added to a face, and a UNet with {facts['parameters']:,} "
        f"parameters learns to predict {NAMES[params['prediction']]} from the noisy image x_t and its noise level."
    )


def _describe_network(network: Sequence[Part]) -> list[str]:
    """Return a paragraph on the resolutions of the network, and one on its blocks and attention."""
    down = [part for part in network if part["kind"] == "down"]
    first, last = network[1], network[-1]
    patch_size = last["side"] // first["side"]
    sides, channels = ([part[key] for part in down] for key in ("side", "channels"))
    if patch_size > 1:
        resolution = (
            f"The image of {last['side']} × {last['side']} pixels is folded into patches of {patch_size} × "
            f"{patch_size} pixels, so the UNet works on {sides[0]} × {sides[0]} positions, which takes less time. A "
            "last block at full resolution, which also gets the noisy image, refines the seams between patches."
        )
    else:
        resolution = f"The UNet works on every pixel of the {last['side']} × {last['side']} image, without patches."
    if any(part["kind"] == "half_size" for part in network):
        resolution += (
            " The second level also gets the noisy image at half the size, so it and the levels below could be trained "
            "on such images first."
        )
    levels = (
        f" The encoder has {format_count(len(down), 'level')}: "
        + join_words([f"{side} × {side} with {count} channels" for side, count in zip(sides, channels, strict=True)])
        + f". Each level of the encoder has {format_count(down[0]['blocks'], 'residual block')} (convolutions whose "
        "output is added to their input), each level of the decoder one more."
    )
    if len(down) > 1:
        covered = last["side"] // sides[-1]
        levels += (
            f" At the lowest resolution, a position stands for {covered} × {covered} pixels. Skip connections pass the "
            "detail of each level to the decoder."
        )
    blocks = (
        "An embedding of the noise level scales and shifts the features in every residual block, so that one network "
        "serves all noise levels. The last convolution of each block starts at zero, so that each block starts without "
        "effect, which makes the start of the training stable."
    )
    return [resolution + levels, f"{blocks} {_describe_attention(down)}"]


def _describe_attention(down: Sequence[Part]) -> str:
    attended = [part for part in down if part["heads"]]
    if not attended:
        return "The network has no self-attention."
    places = join_words([f"{part['side']} × {part['side']}" for part in attended])
    text = f"Self-attention at {places} lets distant parts of a face, such as both eyes, agree."
    if max(part["side"] for part in attended) < down[0]["side"]:
        text += " Its cost grows with the square of the number of positions, so higher resolutions have none."
    return text
