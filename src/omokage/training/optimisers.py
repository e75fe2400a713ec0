"""Which optimiser moves which weights."""

import torch
from torch import Tensor, nn

from omokage.diffusion.unet import UNet
from omokage.training.muon import Muon

WEIGHT_DECAY = 0.01


def make(network: UNet, name: str, lr: float) -> list[torch.optim.Optimizer]:
    """Return AdamW for all weights or, for `muon`, Muon for the inner convolutions and AdamW for the rest.

    Layers between colours and features, and what is no matrix, do worse under Muon.
    """
    inner: list[Tensor] = []
    if name == "muon":
        layers = [network.first, network.last, *([network.finish.first] if network.finish else [])]
        ends = {id(weight) for layer in layers for weight in layer.parameters()}
        inner = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        inner = [weight for weight in inner if id(weight) not in ends]
    taken = {id(weight) for weight in inner}
    rest = [weight for weight in network.parameters() if id(weight) not in taken]
    adamw = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True)
    return [Muon(inner, lr, 0.95, WEIGHT_DECAY), adamw] if inner else [adamw]
