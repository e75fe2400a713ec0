"""What a face's pixels are like, each as one number."""

from numpy.typing import NDArray


def sharpness(faces: NDArray) -> NDArray:
    """Return the variance of the Laplacian of the grey values of float faces [n, 3, h, w]: [n]."""
    grey = faces.mean(1)
    inner = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * inner
    return laplacian.var((1, 2))


def contrast(faces: NDArray) -> NDArray:
    """Return the standard deviation of the grey values of float faces [n, 3, h, w]: [n]."""
    return faces.mean(1).std((1, 2))


def colour(faces: NDArray) -> NDArray:
    """Return the mean distance between the largest and the smallest of red, green and blue: [n]."""
    return (faces.max(1) - faces.min(1)).mean((1, 2))
