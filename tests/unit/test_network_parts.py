"""The parts of a network in the run record, and the figure that shows them."""

from collections import Counter
from typing import Any

import pytest
from matplotlib.textpath import TextPath
from support.training import CPU

from omokage.diffusion.blocks import Attention, ResidualBlock
from omokage.diffusion.unet import Architecture, UNet
from omokage.figures import architecture
from omokage.training.network_parts import list_parts

ARCHITECTURES = {
    "patches": Architecture(32, 48, (1, 2, 2), 1, (4,), 0.0, 2),
    "no patches, dropout, two resolutions with attention": Architecture(64, 32, (1, 2, 2, 3), 2, (16, 8), 0.1, 1),
    "one level, no attention": Architecture(16, 16, (1,), 1, (), 0.0, 4),
    "image at half the size, attention there": Architecture(32, 16, (1, 2), 1, (8,), 0.0, 2, half_size_input=True),
    "six levels": Architecture(64, 8, (1, 1, 2, 2, 3, 4), 1, (64, 2), 0.0, 1),
}


@pytest.mark.parametrize("shape", ARCHITECTURES.values(), ids=[*ARCHITECTURES])
def test_the_parts_are_those_of_the_network_and_their_parameters_add_up(shape: Architecture) -> None:
    network = UNet(shape).to(CPU).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    parts = list_parts(network, shape.image_size)
    assert sum(part["parameters"] for part in parts) == sum(weight.numel() for weight in network.parameters())
    assert sum(part["blocks"] for part in parts) == sum(isinstance(m, ResidualBlock) for m in network.modules())
    heads = Counter(module.heads for module in network.modules() if isinstance(module, Attention))
    counted: Counter[int] = Counter()
    for part in parts:
        if part["heads"]:
            counted[part["heads"]] += part["blocks"]
    assert counted == heads
    # The levels are those of the architecture, and the decoder mirrors the encoder.
    side = shape.image_size // shape.patch_size
    expected = [(side // 2**level, shape.model_channels * k) for level, k in enumerate(shape.channel_mult)]
    down, up = ([(p["side"], p["channels"]) for p in parts if p["kind"] == kind] for kind in ("down", "up"))
    assert down == up[::-1] == expected
    attended = {part["side"] for part in parts if part["heads"]}
    assert attended == {*shape.attention_resolutions}
    assert (parts[-1]["side"], parts[-1]["channels"]) == (shape.image_size, 3)
    assert [part["kind"] for part in parts].count("finish") == (shape.patch_size > 1)
    # Looking at the network leaves no trace in it.
    assert all(before[name].equal(tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("shape", ARCHITECTURES.values(), ids=[*ARCHITECTURES])
def test_the_figure_has_a_box_for_each_part_and_its_text_fits(shape: Architecture) -> None:
    parts = list_parts(UNet(shape).eval(), shape.image_size)
    left, right, bottom = architecture.arrange_boxes(parts)
    boxes = [*left, *right, *bottom]
    # And one for the noisy image; the image at half the size is a line in the box of the second level.
    assert len(boxes) == len(parts) + 1 - shape.half_size_input
    assert_text_fits(boxes)
    places = [(box.x, box.y) for box in boxes]
    assert len({*places}) == len(places)
    orange = [box for box in boxes if box.colour == 1]
    assert len(orange) == sum(part["heads"] > 0 for part in parts)
    assert all("attention" in box.lines[-1] for box in orange)
    chart = architecture.plot(network=parts, figure_style="whitegrid", figure_palette="colorblind", figure_dpi=60)
    assert chart.image.width == round(architecture.WIDTH * 60) and len(chart.svg) < 100_000


def test_the_text_of_the_largest_network_fits() -> None:
    largest: dict[str, Any] = {"side": 512, "channels": 16_384, "blocks": 9, "heads": 256, "parameters": 9_876_543_210}
    kinds = ("embedding", "first", "down", "middle", "up", "finish", "last")
    left, right, bottom = architecture.arrange_boxes([{**largest, "kind": kind} for kind in kinds])
    assert_text_fits([*left, *right, *bottom])


def assert_text_fits(boxes: list[architecture.Box]) -> None:
    for box in boxes:
        for number, line in enumerate(box.lines):
            # The first line is bold, which is at most a fifth wider.
            points = TextPath((0, 0), line, size=10).get_extents().width * (1.0 if number else 1.1 * 1.2)
            assert points / 72 < architecture.BOX_WIDTH, line
