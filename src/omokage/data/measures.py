"""Compute simple image statistics: one number per face."""

from numpy.typing import NDArray


def measure_sharpness(faces: NDArray) -> NDArray:
    """Return [n], the variance of the Laplacian of the grey values of each face, float [n, 3, h, w]."""
    grey = faces.mean(1)
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    return laplacian.var((1, 2))


def measure_contrast(faces: NDArray) -> NDArray:
    """Return [n], the standard deviation of the grey values of each face, float [n, 3, h, w]."""
    return faces.mean(1).std((1, 2))


def measure_colourfulness(faces: NDArray) -> NDArray:
    """Return [n], the mean of max(R, G, B) - min(R, G, B) over the pixels of each face, float [n, 3, h, w]."""
    return (faces.max(1) - faces.min(1)).mean((1, 2))
