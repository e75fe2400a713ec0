"""Align images with faces, which may be mirrored, shifted by a few pixels, or brighter or darker.

Comparing every image with every face at every shift would be slow. So a few candidates are chosen by small, smoothed
images, which hardly change with a shift. Only these candidates are aligned, at full size.

Aligned images are compared after smoothing by a mean of 3 x 3 pixels. This hardly changes the distance of different
faces, but noise and the artefacts of JPEG nearly vanish.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from omokage.evaluation.scores.pairwise import iterate_distances

MAX_SHIFT = 2  # pixels, in each direction
MAX_OFFSET = 16.0  # grey levels by which a channel may be brighter or darker
CANDIDATES = 8  # faces that are aligned with each image
CHUNK = 4096  # faces whose descriptors are compared at once
ROWS, PIXELS = 128, 2**19  # images aligned at once, and the pixels that these have at most
DESCRIPTOR_SIDE = 16


@dataclass(frozen=True)
class Alignment:
    """How n images were aligned with one face each.

    `mirrored` is bool [n]: whether the face was mirrored. `right` and `down`, int64 [n], are the shift of the face in
    pixels. `distance`, float64 [n], is the root mean square difference in grey levels (0 to 255) of the smoothed images
    after the alignment, without their edges. `difference`, float64 [n], is that of the whole images as they are.
    """

    mirrored: Tensor
    right: Tensor
    down: Tensor
    distance: Tensor
    difference: Tensor


def choose_candidates(images: Tensor, faces: Tensor, device: torch.device, include_self: bool) -> Tensor:
    """Return the nearest faces to each image by small images, to be aligned: int64 [n, CANDIDATES], or [n, fewer].

    Images are uint8 [n, 3, h, w]. A candidate i below m, the number of faces, is face i. A candidate from m on is the
    mirror image of face i - m. Without `include_self`, face i is no candidate of image i.
    """
    m, descriptors = len(faces), _describe(images, device).flatten(1)
    count = min(CANDIDATES, 2 * (m if include_self else m - 1))
    least = torch.empty(len(images), 0)
    index = torch.empty(len(images), 0, dtype=torch.int64)
    for first in range(0, m, CHUNK):
        chunk = _describe(faces[first : first + CHUNK], device)
        numbers = torch.arange(first, first + len(chunk))
        ends = torch.cat([chunk.flatten(1), chunk.flip(3).flatten(1)])
        found = []
        for rows, distances in iterate_distances(descriptors, ends):
            if not include_self:
                own = torch.arange(rows.start, rows.stop)[:, None] == numbers.repeat(2)
                distances[own.to(device)] = torch.inf
            found.append(distances.topk(min(count, len(ends)), 1, largest=False))
        least = torch.cat([least, torch.cat([block.values for block in found]).cpu()], 1)
        places = torch.cat([block.indices for block in found]).cpu()
        index = torch.cat([index, torch.cat([numbers, numbers + m])[places]], 1)
        least, kept = least.topk(min(count, least.shape[1]), 1, largest=False)
        index = index.gather(1, kept)
    return index.sort(1).values


def align(images: Tensor, faces: Tensor, candidates: Tensor, device: torch.device) -> tuple[Tensor, Alignment]:
    """Return the nearest of the candidates of each image after alignment, int64 [n] indices of faces, and how it fits.

    The arguments are those of `choose_candidates`, and its result.
    """
    limit = _limit_shift(images.shape[-1])
    line = torch.arange(-limit, limit + 1)
    chosen, places = [], []
    for rows in _iterate_rows(images):
        distances = _compare_shifts(
            images[rows].to(device), _get_faces(faces, candidates[rows].flatten()).to(device), candidates.shape[1]
        )
        place = distances.flatten(1).argmin(1).cpu()
        chosen.append(candidates[rows].gather(1, (place // len(line) ** 2)[:, None])[:, 0])
        places.append(place % len(line) ** 2)
    candidate, place = torch.cat(chosen), torch.cat(places)
    down, right = -line[place // len(line)], -line[place % len(line)]
    distance, difference = _measure(images, faces, candidate, right, down)
    return candidate % len(faces), Alignment(candidate >= len(faces), right, down, distance, difference)


def _iterate_rows(images: Tensor) -> Iterator[slice]:
    """Return slices of the images that fit into memory as float32 together with their candidates."""
    count = max(1, min(ROWS, PIXELS // images.shape[-1] ** 2))
    return (slice(start, start + count) for start in range(0, len(images), count))


def _describe(images: Tensor, device: torch.device) -> Tensor:
    """Return the images, smoothed and reduced to at most 16 x 16 pixels, without their mean colour: float32."""
    side = min(DESCRIPTOR_SIDE, images.shape[-1])
    small = [
        functional.adaptive_avg_pool2d(images[rows].to(device, torch.float32), side) for rows in _iterate_rows(images)
    ]
    smooth = _smooth(torch.cat(small))
    return smooth - smooth.mean((2, 3), keepdim=True)


def _smooth(images: Tensor) -> Tensor:
    """Return the images, each pixel as the mean of 3 x 3 pixels."""
    return functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)


def _get_faces(faces: Tensor, candidates: Tensor) -> Tensor:
    """Return the faces with these indices, mirrored if the index is beyond the number of faces."""
    chosen = faces[candidates % len(faces)]
    return torch.where((candidates >= len(faces))[:, None, None, None], chosen.flip(3), chosen)


def _limit_shift(side: int) -> int:
    """Return the maximum shift for images of this side length: less than MAX_SHIFT for tiny ones."""
    return min(MAX_SHIFT, side // 8)


def _find_edge(side: int) -> int:
    """Return the width of the edge that is not compared: smoothed pixels there may be outside of a shifted face."""
    return _limit_shift(side) + 1


def _compare_shifts(images: Tensor, faces: Tensor, count: int) -> Tensor:
    """Return the squared distances of images [n, 3, h, w] to `count` faces each, at every shift: [n, count, s, s].

    The inner part of the image is compared with a window of the face. The products of the two at all shifts are a
    cross-correlation, which the Fourier transform computes.
    """
    side, limit, edge = images.shape[-1], _limit_shift(images.shape[-1]), _find_edge(images.shape[-1])
    width, inner = side - 2 * edge, slice(edge, side - edge)
    images, faces = (_smooth(pixels.to(torch.float32) - 128) for pixels in (images, faces))
    images = functional.pad(images[:, :, inner, inner], (edge,) * 4)
    spectra = torch.fft.rfft2(faces).unflatten(0, (-1, count))
    products = torch.fft.irfft2((torch.fft.rfft2(images).conj()[:, None] * spectra).sum(2), s=(side, side))
    # Without the outermost pixels, the faces have one window for each shift.
    faces = faces[:, :, 1:-1, 1:-1]
    shifts = torch.arange(-limit, limit + 1)
    products = products[:, :, shifts][:, :, :, shifts]
    squares = functional.avg_pool2d(faces.square().mean(1, keepdim=True), width, 1).unflatten(0, (-1, count))[:, :, 0]
    means = functional.avg_pool2d(faces, width, 1).unflatten(0, (-1, count))
    own = images.sum((2, 3)) / width**2
    offset = own[:, None, :, None, None] - means
    fitted = offset.clamp(-MAX_OFFSET, MAX_OFFSET)
    energy = images.square().sum((1, 2, 3))[:, None, None, None]
    return (energy - 2 * products) / (3 * width**2) + squares + (fitted.square() - 2 * fitted * offset).mean(2)


def _measure(images: Tensor, faces: Tensor, candidates: Tensor, right: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """Return the exact distances [n] after alignment, and the differences [n] without it; see Alignment."""
    side, edge = images.shape[-1], _find_edge(images.shape[-1])
    inner = torch.arange(edge, side - edge)
    rows, columns = (inner - down[:, None])[:, :, None], (inner - right[:, None])[:, None, :]
    distances, differences = [], []
    for part in _iterate_rows(images):
        own, chosen = images[part].double(), _get_faces(faces, candidates[part]).double()
        numbers = torch.arange(len(own))[:, None, None]
        window = _smooth(chosen).permute(0, 2, 3, 1)[numbers, rows[part], columns[part]].permute(0, 3, 1, 2)
        error = _smooth(own)[:, :, edge : side - edge, edge : side - edge] - window
        error = error - error.mean((2, 3), keepdim=True).clamp(-MAX_OFFSET, MAX_OFFSET)
        distances.append(error.square().mean((1, 2, 3)).sqrt())
        unaligned = own - faces[candidates[part] % len(faces)].double()
        differences.append(unaligned.square().mean((1, 2, 3)).sqrt())
    return torch.cat(distances), torch.cat(differences)
