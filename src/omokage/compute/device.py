"""Choose the device, the dtype and the memory layout of a computation.

The device and the memory layout depend on the machine and are not parameters. Stages write the device and the dtype to
their run records.
"""

import ctypes
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._triton import has_triton


def choose_device() -> torch.device:
    """Return the best available device: cuda, else mps, else cpu."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def prepare_device(threads: int) -> torch.device:
    """Set the number of CPU threads, request deterministic kernels, and return the device.

    On CUDA the device is the GPU with the number LOCAL_RANK, which torchrun sets for each process, else GPU 0.
    """
    torch.set_num_threads(threads)
    _keep_freed_memory()
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    device = choose_device()
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # Filling uninitialised memory costs time, and no kernel here reads memory before writing it.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        # cuDNN's attention is not deterministic, even with deterministic algorithms requested.
        torch.backends.cuda.enable_cudnn_sdp(False)
        # Otherwise kernels are chosen by timing, so the kernel and its order of summation may differ between runs.
        os.environ.setdefault("TORCHINDUCTOR_DETERMINISTIC", "1")
    return device


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory for later use; do nothing for other C libraries.

    With glibc's defaults, a training step can return its memory to the system. Getting it back costs 8,000 page faults.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in malloc.h
        set_option(trim_threshold, 2**31 - 1)
        set_option(mmap_threshold, 2**25)


def describe_device(device: torch.device) -> str:
    """Return the device in words for run records, such as 'cpu (AVX512, AMX)' or 'cuda (NVIDIA H100)'."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return device.type
    return f"cpu ({torch.backends.cpu.get_cpu_capability()}{', AMX' if torch.cpu._is_amx_tile_supported() else ''})"


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype for the parameter `precision` (auto, bf16 or fp32).

    For auto it is bfloat16 if the hardware of `device` supports it, else float32.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bf16" else torch.float32
    if device.type == "cuda":
        supported = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        supported = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if supported else torch.float32


def mixed_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """Return a context in which networks compute with `dtype`; it changes nothing for float32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def compile_network(network: nn.Module, device: torch.device, cuda_graphs: bool = False) -> Callable[..., Tensor]:
    """Return the network compiled for CUDA, sharing the weights; on other devices return it unchanged.

    Without Triton or a C compiler it is returned unchanged, too. Compiling takes about a minute, at the first call.
    With `cuda_graphs` the GPU does not wait for the CPU between kernels, but each call overwrites the outputs and
    gradients of the previous call.
    """
    if device.type != "cuda" or not has_triton() or not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return network
    return torch.compile(network, mode="reduce-overhead" if cuda_graphs else "default")


def choose_memory_format(device: torch.device) -> torch.memory_format:
    """Return the fastest memory layout for the UNet: channels-last, except on a CPU.

    On a CPU, channels-last makes group normalisation ten times slower.
    """
    return torch.contiguous_format if device.type == "cpu" else torch.channels_last
