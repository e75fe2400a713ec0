"""Create the optimisers: AdamW alone, or Muon for the inner convolutions and AdamW for all other weights."""

import torch
from torch import Tensor, nn

from omokage.diffusion.unet import UNet
from omokage.training.muon import Muon

WEIGHT_DECAY = 0.01


def make_optimisers(network: UNet, name: str, lr: float) -> list[torch.optim.Optimizer]:
    """Return the optimisers for the parameter `optimiser` = `name`.

    `adamw` is AdamW for all weights. `muon` is Muon for the inner convolutions, and AdamW for all other weights: those
    of layers between colours and features, and those that are not matrices. Muon trains these worse.
    """
    inner: list[Tensor] = []
    if name == "muon":
        outer_layers = [network.first, network.last]
        outer_layers += [network.finish.first] if network.finish else []
        outer_layers += [network.first_half] if network.first_half else []
        outer = {id(weight) for layer in outer_layers for weight in layer.parameters()}
        convolutions = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        inner = [weight for weight in convolutions if id(weight) not in outer]
    inner_ids = {id(weight) for weight in inner}
    rest = [weight for weight in network.parameters() if id(weight) not in inner_ids]
    adamw = torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=WEIGHT_DECAY, fused=True)
    return [Muon(inner, lr, 0.95, WEIGHT_DECAY), adamw] if inner else [adamw]
