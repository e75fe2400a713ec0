"""Style fidelity: colours, contrast, saturation and sharpness of pictures, beside those of real faces."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from omokage.data import measures

AT_ONCE = 1024
COLOURS = ("red", "green", "blue")
MEASURES: dict[str, Callable[[NDArray], NDArray]] = {
    "contrast": measures.contrast,
    "saturation": measures.colour,
    "sharpness": measures.sharpness,
}


def compared(pictures: Tensor, real: Tensor) -> dict[str, float]:
    """Return how uint8 pictures [n, 3, h, w] differ from real ones [m, 3, h, w] of the same size.

    `red`, `green`, `blue`: mean of the pictures minus that of the real ones, in [-255, 255]. `contrast`, `saturation`,
    `sharpness` (see data/measures): means over the pictures divided by those over the real ones (1: alike), of which
    less than 1, as the saturation of grey faces, counts as 1.
    """
    drawn, wanted = _means(pictures), _means(real)
    shifts = {name: drawn[name] - wanted[name] for name in COLOURS}
    return shifts | {name: drawn[name] / max(wanted[name], 1.0) for name in MEASURES}


def _means(pictures: Tensor) -> dict[str, float]:
    parts = []
    for start in range(0, len(pictures), AT_ONCE):
        faces = pictures[start : start + AT_ONCE].numpy().astype(np.float32)
        parts.append([*faces.mean((2, 3)).T, *(measure(faces) for measure in MEASURES.values())])
    columns = np.concatenate(parts, axis=1).astype(np.float64)
    return dict(zip((*COLOURS, *MEASURES), columns.mean(1).tolist(), strict=True))
