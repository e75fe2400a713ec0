"""List the parts of a network with their sizes, for the run record: the report tabulates them, and a figure shows them.

The sizes come from the modules and from a pass through the network, not from the parameters of the run.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from omokage.diffusion.blocks import Attention, Block, ResidualBlock
from omokage.diffusion.unet import UNet

# A part of a UNet (see `list_parts`).
Part = dict[str, Any]


@torch.no_grad()
def list_parts(network: UNet, image_size: int) -> list[Part]:
    """Return the parts of a network for images of `image_size` pixels a side, in the order in which they compute.

    A part holds the layers of one kind at one resolution: `kind` is embedding, first, half_size, down, middle, up,
    finish or last. `side` (0 for the embedding) and `channels` are those of its features, in front of a layer that
    changes the resolution. `blocks` is the number of residual blocks, and `heads` the number of attention heads in each
    (0: no attention). The `parameters` of all parts add up to those of the network.
    """
    layers = list(_list_layers(network))
    shapes = _record_shapes(network, image_size, [layer for _, layer in layers])
    parts: list[Part] = []
    for (kind, layer), (channels, *sides) in zip(layers, shapes, strict=True):
        changes_resolution = kind in ("down", "up") and not isinstance(layer, Block)
        if not changes_resolution and (not parts or (parts[-1]["kind"], parts[-1]["side"]) != (kind, *sides[:1])):
            side = sides[0] if sides else 0
            parts.append({"kind": kind, "side": side, "channels": channels, "blocks": 0, "heads": 0, "parameters": 0})
        part, modules = parts[-1], list(layer.modules())
        part["blocks"] += sum(isinstance(module, ResidualBlock) for module in modules)
        part["heads"] = max([part["heads"], *(module.heads for module in modules if isinstance(module, Attention))])
        part["parameters"] += sum(parameter.numel() for parameter in layer.parameters())
    return parts


def _list_layers(network: UNet) -> Iterator[tuple[str, nn.Module]]:
    """Yield the kind and the module of each layer, in the order in which they compute."""
    yield "embedding", network.embedding
    yield "first", network.first
    if network.first_half is not None:
        yield "half_size", network.first_half
    for kind, layers in (("down", network.down), ("middle", network.middle), ("up", network.up)):
        yield from ((kind, layer) for layer in layers)
    if network.finish is not None:
        yield "finish", network.finish
    yield "last", network.last


def _record_shapes(network: UNet, image_size: int, layers: list[nn.Module]) -> list[tuple[int, ...]]:
    """Return the shape of each layer's output for one image, without the dimension of the batch."""
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def record(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        shapes[layer] = tuple(output.shape[1:])

    hooks = [layer.register_forward_hook(record) for layer in layers]
    weight = next(network.parameters())
    network(weight.new_zeros(1, 3, image_size, image_size), weight.new_zeros(1))
    for hook in hooks:
        hook.remove()
    return [shapes[layer] for layer in layers]
