"""denoising-diffusion-pytorch and diffusers as benchmark models, each configured as in its own training example."""

from collections.abc import Callable
from typing import Any

import torch
from benchmark_models import NFE, BenchmarkModel, OmokageModel, alpha_and_sigma
from common import DEVICE
from denoising_diffusion_pytorch import GaussianDiffusion, Unet
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from ema_pytorch import EMA
from torch import Tensor, nn
from torch.nn import functional as F

from omokage.compute.device import choose_dtype, mixed_precision
from omokage.params.schema import Params

TIMESTEPS = 1000  # noise levels of diffusers' schedule


class PeerModel(BenchmarkModel):
    """What both libraries share: shuffled batches, mirrored at random, and a discrete noise schedule.

    Their networks have about as many parameters as ours: 2.6 million for presets for CPUs, 36 million for GPUs.
    Batch size, precision and flips are those of the preset.
    """

    alphas_cumprod: Tensor
    # Everything that training changes, by name.
    parts: dict[str, Any]

    def __init__(self, faces: Tensor, seed: int, p: Params) -> None:
        # As in the libraries' examples, which do not ask for deterministic kernels.
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.enable_cudnn_sdp(True)
        torch.manual_seed(seed)
        self.faces, self.flip, self.seed = faces.to(DEVICE), p.flip, seed
        self.is_small = p.model_channels < 64
        self.batch_size, self.dtype = p.batch_size, choose_dtype(p.precision, DEVICE)
        self.batches_taken = 0
        self.order, self.epoch = torch.empty(0), -1

    def next_batch(self) -> Tensor:
        """Return the next batch, float32 in [0, 1]."""
        epoch, index = divmod(self.batches_taken, len(self.faces) // self.batch_size)
        self.batches_taken += 1
        if self.epoch != epoch:
            generator = torch.Generator().manual_seed(self.seed + epoch)
            self.order, self.epoch = torch.randperm(len(self.faces), generator=generator), epoch
        rows = self.order[index * self.batch_size :][: self.batch_size]
        batch = self.faces[rows.to(DEVICE)].float() / 255
        is_mirrored = torch.rand(self.batch_size, 1, 1, 1, device=DEVICE) < (0.5 if self.flip else 0)
        return torch.where(is_mirrored, batch.flip(-1), batch)

    def state_dict(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        # The libraries use the global generator for their noise; the state of a GPU's is not saved.
        return {"batches_taken": self.batches_taken, "random": torch.get_rng_state(), "parts": parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.batches_taken = state["batches_taken"]
        torch.set_rng_state(state["random"])
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])

    def nearest_timestep(self, log_snr: float) -> int:
        """Return the timestep of the library's schedule that is nearest to a log-SNR."""
        return int(((self.alphas_cumprod / (1 - self.alphas_cumprod)).log() - log_snr).abs().argmin())


class DenoisingDiffusionPytorchModel(PeerModel):
    """lucidrains/denoising-diffusion-pytorch: v, sigmoid schedule, Adam, EMA 0.995, as in its Trainer."""

    def __init__(self, faces: Tensor, steps: int, lr: float, seed: int, p: Params) -> None:
        super().__init__(faces, seed, p)
        self.network = Unet(dim=32, dim_mults=(1, 2, 4)) if self.is_small else Unet(dim=64, dim_mults=(1, 2, 4, 8))
        diffusion = GaussianDiffusion(self.network, image_size=faces.shape[-1], sampling_timesteps=NFE)
        self.diffusion = diffusion.to(DEVICE)
        self.optimiser = torch.optim.Adam(self.diffusion.parameters(), lr=lr, betas=(0.9, 0.99))
        self.ema = EMA(self.diffusion, beta=0.995, update_every=10)
        # The EMA's state holds the network, too.
        self.parts = {"ema": self.ema, "optimiser": self.optimiser}
        self.alphas_cumprod = self.diffusion.alphas_cumprod

    def step(self) -> None:
        with mixed_precision(DEVICE, self.dtype):
            loss = self.diffusion(self.next_batch())
        loss.backward()
        nn.utils.clip_grad_norm_(self.diffusion.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.ema.update()

    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        t = torch.full((len(x_t),), self.nearest_timestep(log_snr), device=DEVICE)
        with mixed_precision(DEVICE, self.dtype):
            return self.ema.ema_model.model_predictions(x_t, t).pred_x_start.float()

    def sample(self, count: int) -> Tensor:
        sizes = [min(self.batch_size, count - start) for start in range(0, count, self.batch_size)]
        with mixed_precision(DEVICE, self.dtype):
            samples = [self.ema.ema_model.sample(batch_size=size) for size in sizes]
        return (torch.cat(samples).float() * 255).round().clamp(0, 255).to(torch.uint8).cpu()


class DiffusersModel(PeerModel):
    """huggingface/diffusers: eps, linear schedule, AdamW, cosine learning rate, EMA, as in its training example."""

    def __init__(self, faces: Tensor, steps: int, lr: float, seed: int, p: Params) -> None:
        super().__init__(faces, seed, p)
        blocks = ["Block2D", "Block2D", "AttnBlock2D", *(() if self.is_small else ("Block2D",))]
        self.network = UNet2DModel(
            sample_size=faces.shape[-1],
            layers_per_block=2,
            block_out_channels=(32, 64, 96) if self.is_small else (128, 256, 256, 256),
            down_block_types=[name.replace("Block", "DownBlock") for name in blocks],
            up_block_types=[name.replace("Block", "UpBlock") for name in reversed(blocks)],
            norm_num_groups=16 if self.is_small else 32,
        ).to(DEVICE)
        self.scheduler = DDPMScheduler(num_train_timesteps=TIMESTEPS, beta_schedule="linear")
        self.alphas_cumprod = self.scheduler.alphas_cumprod
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=lr, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8
        )
        # The example warms up for 500 steps, but trains for a day.
        self.lr_schedule = get_cosine_schedule_with_warmup(self.optimiser, min(500, steps // 20), steps)
        self.ema = EMAModel(self.network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=3 / 4)
        self.parts = {
            "network": self.network,
            "ema": self.ema,
            "optimiser": self.optimiser,
            "lr_schedule": self.lr_schedule,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.ema.to(DEVICE)

    def step(self) -> None:
        x0 = self.next_batch() * 2 - 1
        noise, t = torch.randn_like(x0), torch.randint(0, TIMESTEPS, (len(x0),), device=DEVICE)
        with mixed_precision(DEVICE, self.dtype):
            output = self.network(self.scheduler.add_noise(x0, noise, t), t).sample
        F.mse_loss(output.float(), noise).backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.lr_schedule.step()
        self.optimiser.zero_grad()
        self.ema.step(self.network.parameters())

    def denoise(self, x_t: Tensor, log_snr: float) -> Tensor:
        t, (alpha, sigma) = self.nearest_timestep(log_snr), alpha_and_sigma(log_snr)
        self.ema.store(self.network.parameters())
        self.ema.copy_to(self.network.parameters())
        with mixed_precision(DEVICE, self.dtype):
            noise = self.network(x_t, t).sample.float()
        self.ema.restore(self.network.parameters())
        return (x_t - sigma * noise) / alpha

    def sample(self, count: int) -> Tensor:
        # With diffusers' default spacing, sampling would start below the highest noise level of training.
        scheduler = DDIMScheduler.from_config(self.scheduler.config, timestep_spacing="trailing")
        self.ema.store(self.network.parameters())
        self.ema.copy_to(self.network.parameters())
        samples = []
        for start in range(0, count, self.batch_size):
            x = torch.randn(min(self.batch_size, count - start), *self.faces.shape[1:], device=DEVICE)
            scheduler.set_timesteps(NFE)
            for t in scheduler.timesteps:
                with mixed_precision(DEVICE, self.dtype):
                    output = self.network(x, t).sample.float()
                x = scheduler.step(output, t, x).prev_sample
            samples.append(x)
        self.ema.restore(self.network.parameters())
        return ((torch.cat(samples) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


# By name: a function of uint8 faces, steps, learning rate, seed and our preset's parameters.
MODELS: dict[str, Callable[[Tensor, int, float, int, Params], BenchmarkModel]] = {
    "omokage": OmokageModel,
    "denoising-diffusion-pytorch": DenoisingDiffusionPytorchModel,
    "diffusers": DiffusersModel,
}
