"""This project and its peers behind one face: train a step, denoise, sample. Each is set up as its own example.

Pictures are uint8 [n, 3, h, w]; what is denoised is x_t [n, 3, h, w] of pictures scaled to [-1, 1], as both peers have
it, at a log-SNR of that scale.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from bench import DEVICE, draw, ours, ready_to_draw
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from ema_pytorch import EMA
from torch import Tensor, nn
from torch.nn import functional as F

from omokage import posthoc
from omokage.device import compute_dtype
from omokage.diffusion.objective import predicted_x0
from omokage.drawing import denoiser
from omokage.params.whole import Params
from omokage.training.loop import Machine, Trainer

DTYPE = compute_dtype("auto", DEVICE)
EVALUATIONS = 50


class Contestant(ABC):
    """One training of so many steps; what it denoises and samples with are its averaged weights."""

    network: nn.Module
    batch: int

    @abstractmethod
    def step(self) -> None:
        """Train on one batch."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return all that the next step depends on, as tensors and plain data."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""

    @abstractmethod
    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        """Return the clean pictures, scaled to [-1, 1], that the network sees in x_t."""

    @abstractmethod
    def sample(self, number: int) -> Tensor:
        """Draw pictures with EVALUATIONS evaluations of the network for each."""


class Omokage(Contestant):
    """This project, with the parameters of a preset."""

    def __init__(self, faces: Tensor, steps: int, lr: float, seed: int, p: Params) -> None:
        self.spec, recipe = ours(p.model_copy(update={"steps": steps, "lr": lr}), faces)
        self.p, self.batch = p, recipe.batch_size
        self.trainer = Trainer(faces, self.spec, recipe, Machine(DEVICE, DTYPE))
        self.network = self.trainer.network

    def step(self) -> None:
        self.trainer.advance()

    def state(self) -> dict[str, Any]:
        return self.trainer.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.trainer.restore(state)

    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        # As the network has it: x0 = 2 std w + middle, and x_t scaled so that the variances of its parts add up to 1.
        middle = 2 * torch.tensor(self.spec.mean, device=DEVICE).view(1, 3, 1, 1) - 1
        alpha, sigma = scales(log_snr)
        size = math.hypot(2 * self.spec.std * alpha, sigma)
        signal, noise = torch.tensor(2 * self.spec.std * alpha / size), torch.tensor(sigma / size)
        y = (x_t - alpha * middle) / size
        angle = torch.full((len(x_t),), math.atan2(noise, signal), device=DEVICE)
        said = denoiser(self.trainer.average.model, self.spec, DEVICE).network(y, angle)
        return predicted_x0(self.spec.prediction, said, y, signal, noise) * 2 * self.spec.std + middle

    def sample(self, number: int) -> Tensor:
        with TemporaryDirectory() as folder:
            snapshots = Path(folder) / "snapshots.safetensors"
            posthoc.save(snapshots, self.trainer.snapshots)
            network = self.trainer.average.model
            ready = ready_to_draw(network, self.spec, snapshots, self.p.guidance, self.p.guide)
        # With guidance, half of the evaluations are the earlier network's.
        evaluations = EVALUATIONS if self.p.guidance == 1 else EVALUATIONS // 2
        return draw(ready, self.spec, self.p.sampler, self.p.spacing, evaluations, number)


class Peer(Contestant):
    """What both peers share: batches of shuffled faces, mirrored at random, and a discrete schedule.

    Their networks have about as many parameters as ours: 2.6 million up to 32 px (`laptop`), else 36 (`pixiv-64`).
    """

    alphas_cumprod: Tensor
    # What a training changes: the network, its average, the optimiser and the like.
    parts: dict[str, Any]

    def __init__(self, faces: Tensor, seed: int, flip: bool) -> None:
        # As peers come: they ask for no repeatable kernels.
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.enable_cudnn_sdp(True)
        torch.manual_seed(seed)
        self.faces, self.flip, self.seed, self.taken = faces.to(DEVICE), flip, seed, 0
        self.small = faces.shape[-1] <= 32
        self.batch = 64 if self.small else 256
        self.order, self.shuffled = torch.empty(0), -1

    def next_batch(self) -> Tensor:
        """Return the next batch, float32 in [0, 1]."""
        epoch, place = divmod(self.taken, len(self.faces) // self.batch)
        self.taken += 1
        if self.shuffled != epoch:
            chance = torch.Generator().manual_seed(self.seed + epoch)
            self.order, self.shuffled = torch.randperm(len(self.faces), generator=chance), epoch
        chosen = self.faces[self.order[place * self.batch :][: self.batch].to(DEVICE)].float() / 255
        mirrored = torch.rand(self.batch, 1, 1, 1, device=DEVICE) < (0.5 if self.flip else 0)
        return torch.where(mirrored, chosen.flip(-1), chosen)

    def state(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        # The peers draw their noise from the global generator, on a GPU from the GPU's, which is not kept.
        return {"taken": self.taken, "random": torch.get_rng_state(), "parts": parts}

    def restore(self, state: dict[str, Any]) -> None:
        self.taken = state["taken"]
        torch.set_rng_state(state["random"])
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])

    def at(self, log_snr: float) -> int:
        """Return the step of the peer's schedule nearest to a log-SNR."""
        return int(((self.alphas_cumprod / (1 - self.alphas_cumprod)).log() - log_snr).abs().argmin())


class DenoisingDiffusionPytorch(Peer):
    """lucidrains/denoising-diffusion-pytorch: v, sigmoid schedule, Adam, EMA 0.995, as its Trainer has them."""

    def __init__(self, faces: Tensor, steps: int, lr: float, seed: int, p: Params) -> None:
        super().__init__(faces, seed, p.flip)
        self.network = Unet(dim=32, dim_mults=(1, 2, 4)) if self.small else Unet(dim=64, dim_mults=(1, 2, 4, 8))
        whole = GaussianDiffusion(self.network, image_size=faces.shape[-1], sampling_timesteps=EVALUATIONS)
        self.diffusion = whole.to(DEVICE)
        self.optimiser = torch.optim.Adam(self.diffusion.parameters(), lr=lr, betas=(0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)
        # The average holds what it is an average of.
        self.parts = {"ema": self.ema, "optimiser": self.optimiser}
        self.alphas_cumprod = self.diffusion.alphas_cumprod

    def step(self) -> None:
        with torch.autocast(DEVICE.type, DTYPE):
            loss = self.diffusion(self.next_batch())
        loss.backward()
        nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.ema.update()

    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        t = torch.full((len(x_t),), self.at(log_snr), device=DEVICE)
        with torch.autocast(DEVICE.type, DTYPE):
            return self.ema.ema_model.model_predictions(x_t, t).pred_x_start.float()

    def sample(self, number: int) -> Tensor:
        with torch.autocast(DEVICE.type, DTYPE):
            drawn = [
                self.ema.ema_model.sample(batch_size=min(self.batch, number - start))
                for start in range(0, number, self.batch)
            ]
        return (torch.cat(drawn).float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()


class Diffusers(Peer):
    """huggingface/diffusers: eps, linear schedule, AdamW, cosine learning rate, EMA, as in its training example."""

    def __init__(self, faces: Tensor, steps: int, lr: float, seed: int, p: Params) -> None:
        super().__init__(faces, seed, p.flip)
        plain = () if self.small else ("Block2D",)
        down = ["Block2D", "Block2D", "AttnBlock2D", *plain]
        self.network = UNet2DModel(
            sample_size=faces.shape[-1],
            layers_per_block=2,
            block_out_channels=(32, 64, 96) if self.small else (128, 256, 256, 256),
            down_block_types=[name.replace("Block", "DownBlock") for name in down],
            up_block_types=[name.replace("Block", "UpBlock") for name in reversed(down)],
            norm_num_groups=16 if self.small else 32,
        ).to(DEVICE)
        self.scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
        self.alphas_cumprod = self.scheduler.alphas_cumprod
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=lr, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        # The example warms up for 500 steps of a day's training.
        self.pace = get_cosine_schedule_with_warmup(self.optimiser, min(500, steps // 20), steps)
        self.ema = EMAModel(self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=3 / 4)
        self.parts = {"network": self.network, "ema": self.ema, "optimiser": self.optimiser, "pace": self.pace}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.ema.to(DEVICE)

    def step(self) -> None:
        x0 = self.next_batch() * 2 - 1
        noise, t = torch.randn_like(x0), torch.randint(0, 1000, (len(x0),), device=DEVICE)
        with torch.autocast(DEVICE.type, DTYPE):
            said = self.network(self.scheduler.add_noise(x0, noise, t), t).sample
        F.mse_loss(said.float(), noise).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.pace.step()
        self.optimiser.zero_grad()
        self.ema.step(self.network.parameters())

    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        t, (alpha, sigma) = self.at(log_snr), scales(log_snr)
        self.ema.store(self.network.parameters())
        self.ema.copy_to(self.network.parameters())
        with torch.autocast(DEVICE.type, DTYPE):
            noise = self.network(x_t, t).sample.float()
        self.ema.restore(self.network.parameters())
        return (x_t - sigma * noise) / alpha

    def sample(self, number: int) -> Tensor:
        # `trailing`, since with the default spacing the sampling starts below the noise it was trained to.
        scheduler = DDIMScheduler.from_config(self.scheduler.config, timestep_spacing="trailing")
        self.ema.store(self.network.parameters())
        self.ema.copy_to(self.network.parameters())
        drawn = []
        for start in range(0, number, self.batch):
            x = torch.randn(min(self.batch, number - start), *self.faces.shape[1:], device=DEVICE)
            scheduler.set_timesteps(EVALUATIONS)
            for t in scheduler.timesteps:
                with torch.autocast(DEVICE.type, DTYPE):
                    said = self.network(x, t).sample.float()
                x = scheduler.step(said, t, x).prev_sample
            drawn.append(x)
        self.ema.restore(self.network.parameters())
        return ((torch.cat(drawn) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def scales(log_snr: float) -> tuple[float, float]:
    """Return alpha and sigma, alpha^2 + sigma^2 = 1, of a log-SNR."""
    return (1 / (1 + math.exp(-log_snr))) ** 0.5, (1 / (1 + math.exp(log_snr))) ** 0.5


# faces, steps, lr, seed and the parameters of our preset -> a contestant.
CONTESTANTS: dict[str, Callable[[Tensor, int, float, int, Params], Contestant]] = {
    "omokage": Omokage,
    "denoising-diffusion-pytorch": DenoisingDiffusionPytorch,
    "diffusers": Diffusers,
}
