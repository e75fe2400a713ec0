"""Where tensors are computed, and how precisely: chosen by itself, recorded, never a parameter."""

import ctypes
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._triton import has_triton


def choose() -> torch.device:
    """Return the best device there is: cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def prepare(threads: int) -> torch.device:
    """Choose the device, fix the number of CPU threads, keep freed memory and ask for repeatable kernels."""
    torch.set_num_threads(threads)
    _keep_freed_memory()
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    device = choose()
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # Or it would also fill memory that nobody reads before writing it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        # cuDNN's attention is not repeatable, whatever is asked for.
        torch.backends.cuda.enable_cudnn_sdp(False)
        # Kernels chosen by timing them sum in an order that differs from run to run.
        os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    return device


def _keep_freed_memory() -> None:
    """Have glibc keep what is freed: by itself it may give it back, and take it anew page by page, at every step.

    That was up to 8,000 page faults a step of training. Other C libraries are left as they are.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        trim_threshold, mmap_threshold = -1, -3  # as malloc.h has them
        set_option(trim_threshold, 2**31 - 1)
        set_option(mmap_threshold, 2**25)


def name(device: torch.device) -> str:
    """Return the device's kind as a record should show it, such as 'cpu (AVX512, AMX)' or 'cuda (NVIDIA H100)'."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return device.type
    return f"cpu ({torch.backends.cpu.get_cpu_capability()}{', AMX' if torch.cpu._is_amx_tile_supported() else ''})"


def compute_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return bfloat16 or float32 for `precision` (auto, bf16, fp32): auto is bfloat16 where the hardware has it."""
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def fastest(network: nn.Module, device: torch.device, replayed: bool = False) -> Callable[..., Tensor]:
    """Return the network as the device runs it fastest, with the same weights: compiled on CUDA, else as it is.

    Compiling fuses what lies between the convolutions. It takes Triton, a C compiler, and a minute at the first call.
    `replayed`, as CUDA graphs, it does not wait for the host either; but what one call leaves, gradients too, the next
    writes over.
    """
    if device.type != "cuda" or not has_triton() or not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return network
    return torch.compile(network, mode="reduce-overhead" if replayed else "default")


def memory_format(device: torch.device) -> torch.memory_format:
    """Return the layout the UNet runs fastest in: channels last, but on a CPU, whose group norm it slows tenfold."""
    return torch.contiguous_format if device.type == "cpu" else torch.channels_last
