"""Compare the style of images with that of real faces: colours, contrast, saturation and sharpness."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from omokage.data import measures

BATCH = 1024
BINS = 24
# The bins of a histogram leave out this share of all images at each end, so that a few outliers do not widen them.
OUTLIERS = 0.005
COLOURS = ("red", "green", "blue")
MEASURES: dict[str, Callable[[NDArray], NDArray]] = {
    "contrast": measures.measure_contrast,
    "saturation": measures.measure_colourfulness,
    "sharpness": measures.measure_sharpness,
}


def compare_style(images: Tensor, real: Tensor) -> dict[str, float]:
    """Return how uint8 images [n, 3, h, w] differ in style from real faces [m, 3, h, w] of the same size.

    `red`, `green`, `blue`: mean of the images minus mean of the real faces, in grey levels, -255 to 255.
    `contrast`, `saturation`, `sharpness` (see data/measures.py): mean of the images divided by mean of the real faces,
    so 1 means equal. A divisor below 1, such as the saturation of grey faces, is replaced by 1.
    """
    means, real_means = (
        {name: float(values.mean()) for name, values in measure_style(x).items()} for x in (images, real)
    )
    shifts = {name: means[name] - real_means[name] for name in COLOURS}
    return shifts | {name: means[name] / max(real_means[name], 1.0) for name in MEASURES}


def measure_style(images: Tensor) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each colour and each measure of uint8 images [n, 3, h, w], by name: arrays [n]."""
    parts = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH].numpy().astype(np.float32)
        parts.append([*batch.mean((2, 3)).T, *(measure(batch) for measure in MEASURES.values())])
    columns = np.concatenate(parts, axis=1).astype(np.float64)
    return dict(zip((*COLOURS, *MEASURES), columns, strict=True))


def compute_histograms(images: Mapping[str, Tensor]) -> dict[str, dict[str, list[float]]]:
    """Return how colours and measures are distributed over groups of uint8 images [n, 3, h, w].

    By name of the measure: the `edges` [BINS + 1] of the bins, and for each group, under its name, the share of its
    images in each bin [BINS], followed by the mean of the group. Images beyond the edges are in the first or last bin.
    """
    groups = {group: measure_style(tensor) for group, tensor in images.items()}
    histograms = {}
    for name in (*COLOURS, *MEASURES):
        low, high = np.quantile(np.concatenate([values[name] for values in groups.values()]), [OUTLIERS, 1 - OUTLIERS])
        edges = np.linspace(low, max(high, low + 1), BINS + 1)
        histograms[name] = {"edges": edges.tolist()}
        for group, values in groups.items():
            counts, _ = np.histogram(values[name].clip(edges[0], edges[-1]), edges)
            histograms[name][group] = [*(counts / len(values[name])).tolist(), float(values[name].mean())]
    return histograms
