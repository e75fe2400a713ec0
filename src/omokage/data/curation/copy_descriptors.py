"""Compute the descriptors of pictures that the search for copies compares.

A descriptor has the low frequencies of the brightness and colour of a picture, as perceptual hashes have (Zauner 2010,
section 3.2), but as numbers instead of bits. Frequencies that are odd from left to right change their sign if the
picture is mirrored. So if e and o are the products of the even and the odd parts of two descriptors, e + o is the
similarity of the pictures, and e - o that of the first one and the mirrored second one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omokage.data.curation.face_cropper import PREVIEW_SIDE as SIDE

CHROMA = 2.0  # weight of colour relative to brightness: the colours of hair and background tolerate shifts
NORM = 2000  # of a descriptor: its values are integers, so that float32 sums of products are exact in any order
COLOURS = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [CHROMA / 2, 0, -CHROMA / 2], [-CHROMA / 4, CHROMA / 2, -CHROMA / 4]])

View = tuple[float, float, float]  # zoom, right and down: a window of a picture, in half sides from its centre


@dataclass(frozen=True)
class Descriptors:
    """The even and odd parts of descriptors, float32 [..., values] with integer values."""

    even: Tensor
    odd: Tensor

    @classmethod
    def concatenate(cls, parts: Sequence["Descriptors"]) -> "Descriptors":
        """Return all descriptors of `parts`, in order."""
        return cls(torch.cat([part.even for part in parts]), torch.cat([part.odd for part in parts]))

    def select(self, rows: int | slice | Tensor | tuple[slice, int]) -> "Descriptors":
        """Return the descriptors at the indices `rows`."""
        return Descriptors(self.even[rows], self.odd[rows])

    def multiply(self, others: "Descriptors") -> tuple[Tensor, Tensor]:
        """Return the products of the even and of the odd parts of descriptors [n, .] and [m, .], each [n, m].

        The product of a descriptor with itself is about the square of NORM.
        """
        return self.even @ others.even.T, self.odd @ others.odd.T


def describe_views(previews: NDArray[np.uint8], views: Sequence[View], frequencies: int) -> Descriptors:
    """Return the descriptors [n, views, values] of windows in pictures, uint8 [n, SIDE, SIDE, 3].

    `frequencies` is the number of frequencies in each direction, including zero.
    """
    bases: dict[tuple[float, float], Tensor] = {}
    for zoom, *shifts in views:
        for shift in shifts:
            bases.setdefault((zoom, shift), _make_basis(zoom, shift, frequencies))
    channels = torch.einsum("nyxc,dc->ndyx", torch.from_numpy(previews).float(), COLOURS)
    rows = {key: torch.einsum("ky,ndyx->ndkx", basis, channels) for key, basis in bases.items()}
    values = torch.stack(
        [torch.einsum("ndkx,lx->ndkl", rows[zoom, down], bases[zoom, right]) for zoom, right, down in views], 1
    )
    numbers = torch.arange(frequencies)
    down, right = (numbers[:, None] ** 2 + numbers**2 < frequencies**2).nonzero().unbind(1)
    values = values[..., down, right]
    values[:, :, 0, 0] = 0  # the mean brightness
    values = values * (NORM / (values.square().sum((2, 3), keepdim=True).sqrt() + 1e-3))
    return Descriptors(*(values[..., right % 2 == odd].flatten(2).round() for odd in (0, 1)))


def _make_basis(zoom: float, shift: float, frequencies: int) -> Tensor:
    """Return [frequencies, SIDE]: cosines over a window in a line of pixels, weighted less towards its ends.

    A picture of one colour has products of zero with all but the first one, also under the weights.
    """
    positions = (torch.arange(SIDE) + 0.5) / SIDE  # of samples, as fractions of the window
    weights = torch.sin(torch.pi * positions)
    cosines = torch.cos(torch.pi * torch.arange(frequencies)[:, None] * positions)
    cosines[1:] -= (cosines[1:] * weights).sum(1, keepdim=True) / weights.sum()
    pixels = ((2 * positions - 1) * zoom + shift + 1) / 2 * SIDE - 0.5
    distances = (pixels.clamp(0, SIDE - 1)[:, None] - torch.arange(SIDE)).abs()
    return (cosines / cosines.norm(dim=1, keepdim=True) * weights) @ (1 - distances).clamp(min=0)
