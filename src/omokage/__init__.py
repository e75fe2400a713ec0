"""Omokage: a reproducible pipeline that trains a diffusion model (DDPM) on illustrated faces.

`omokage.load("results/model.safetensors")` returns the trained model, to sample from it and to edit images in Python.
Nothing is imported before it is used, so that a stage loads only what dvc.yaml declares.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omokage.library.images import to_grid, to_pil
    from omokage.library.loading import load
    from omokage.library.model import Model

__all__ = ["Model", "load", "to_grid", "to_pil"]

_MODULES = {
    "Model": "omokage.library.model",
    "load": "omokage.library.loading",
    "to_grid": "omokage.library.images",
    "to_pil": "omokage.library.images",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the names that a notebook offers for completion."""
    return sorted({*globals(), *__all__})
