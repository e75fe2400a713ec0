"""Verify that two pictures are copies: align one to the other, then compare them pixel by pixel.

The alignment is the Lucas-Kanade method (Lucas & Kanade 1981) in its inverse compositional form (Baker & Matthews 2004,
section 3.2), with a zoom and a shift in each direction, and a gain and an offset for brightness.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from omokage.data.curation.face_cropper import PREVIEW_SIDE as SIDE

STEPS = 4
# Edges of the picture that are not compared, as a border or a watermark may be there: 3 of 32 pixels on each side.
EDGE = 3
# Limits of what counts as a copy. Different faces were found beyond a relative error of 0.2 (benchmarks/leak.py).
MAX_RELATIVE_ERROR = 0.2
MIN_CONTRAST = 4.0  # of 255; below it, two pictures have too little in common to be told apart
MIN_GAIN, MAX_GAIN, MAX_OFFSET = 0.7, 1.4, 50.0
MIN_ZOOM, MAX_ZOOM, MAX_SHIFT = 0.75, 1.2, 0.3
OUTLIERS = 8  # pixels, about 1 % of those compared, that may differ by more than the local error


@dataclass(frozen=True)
class Comparison:
    """How two pictures [n] differ after alignment, float32 [n] each.

    `relative_error` is the root mean square difference divided by the standard deviation, or infinite if the alignment
    is implausible. `local_error`, of 255, is the difference of the pixels that differ most, without OUTLIERS.
    """

    relative_error: Tensor
    local_error: Tensor

    def find_copies(self, tolerance: float) -> Tensor:
        """Return bool [n]: whether the pictures are copies. `tolerance` limits the local error."""
        return (self.relative_error <= MAX_RELATIVE_ERROR) & (self.local_error <= tolerance)


def align(first: Tensor, second: Tensor, windows: Tensor) -> Tensor:
    """Return the windows of the pictures `first` that show the same as the pictures `second`, [n, 4].

    Pictures are float [n, 3, SIDE, SIDE]. `windows` are estimates of them, as zoom right and down, and shift right and
    down, in half sides.
    """
    first, second = (pictures.mean(1, keepdim=True) for pictures in (first, second))
    x, y = _make_grid()
    for step in range(STEPS):
        # Blurred pictures come first, because their differences are nearly linear over a longer distance.
        target, source = (_blur(second), _blur(first)) if step < STEPS // 2 else (second, first)
        mask = _find_overlap(windows)[:, 0]
        error = _fit_brightness(_crop(source, windows), target, mask[:, None])[0][:, 0]
        right, down = torch.gradient(target[:, 0] * (SIDE / 2), dim=(2, 1))
        slopes = torch.stack([right * x, down * y, right, down], -1) * mask[..., None]
        slopes = slopes.flatten(1, 2)
        products = slopes.transpose(1, 2) @ slopes
        damping = 0.01 * products.diagonal(dim1=1, dim2=2).mean(1) + 1e-3
        change = torch.linalg.solve(
            products + damping[:, None, None] * torch.eye(4), slopes.transpose(1, 2) @ error.flatten(1)[..., None]
        )[..., 0].clamp(-0.1, 0.1)
        zoom = windows[:, :2] / (1 + change[:, :2])
        windows = torch.cat([zoom, windows[:, 2:] - zoom * change[:, 2:]], 1)
    return windows


def compare(first: Tensor, second: Tensor, windows: Tensor) -> Comparison:
    """Compare the `windows` of the pictures `first` with the pictures `second`; arguments as for `align`."""
    mask = _find_overlap(windows)
    difference, target, gain, offset = _fit_brightness(_blur(_crop(first, windows)), _blur(second), mask)
    values = 3 * mask.sum((1, 2, 3))
    error, contrast = ((part.square().sum((1, 2, 3)) / values).sqrt() for part in (difference, target))
    is_plausible = (
        (contrast >= MIN_CONTRAST)
        & (gain >= MIN_GAIN)
        & (gain <= MAX_GAIN)
        & (offset <= MAX_OFFSET)
        & ((windows[:, :2] >= MIN_ZOOM) & (windows[:, :2] <= MAX_ZOOM)).all(1)
        & (windows[:, 2:].abs() <= MAX_SHIFT).all(1)
    )
    local = difference.abs().mean(1).flatten(1).topk(OUTLIERS + 1, 1).values[:, -1]
    return Comparison(torch.where(is_plausible, error / contrast, torch.inf), local)


def _fit_brightness(source: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fit the brightness of `source` to `target` with a gain for all channels and an offset for each.

    Return the difference and `target` around its mean, both zero outside the mask, and the gain and the largest offset.
    """
    count = mask.sum((2, 3), keepdim=True).clamp(min=1)
    means = [(pictures * mask).sum((2, 3), keepdim=True) / count for pictures in (source, target)]
    source, target = ((pictures - mean) * mask for pictures, mean in zip((source, target), means, strict=True))
    product, square = ((source * factor).sum((1, 2, 3), keepdim=True) for factor in (target, source))
    gain = product / (square + 1e-3)
    offset = (means[1] - gain * means[0]).abs().amax((1, 2, 3))
    return source * gain - target, target, gain[:, 0, 0, 0], offset


def _find_overlap(windows: Tensor) -> Tensor:
    """Return the mask [n, 1, SIDE, SIDE] of the pixels of a window that are compared: inside the picture, no edges."""
    x, y = _make_grid()
    zoom, shift = windows[:, :2, None, None], windows[:, 2:, None, None]
    is_inside = ((x * zoom[:, 0] + shift[:, 0]).abs() < 1) & ((y * zoom[:, 1] + shift[:, 1]).abs() < 1)
    limit = 1 - 2 * EDGE / SIDE
    return (is_inside & (x.abs() < limit) & (y.abs() < limit))[:, None].float()


def _make_grid() -> tuple[Tensor, Tensor]:
    """Return x and y of the pixels of a picture, from -1 to 1, which broadcast to [SIDE, SIDE]."""
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    return line, line[:, None]


def _crop(pictures: Tensor, windows: Tensor) -> Tensor:
    zoom_x, zoom_y, right, down = windows.unbind(1)
    zero = torch.zeros_like(right)
    matrices = torch.stack([zoom_x, zero, right, zero, zoom_y, down], 1).view(-1, 2, 3)
    grid = functional.affine_grid(matrices, list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, padding_mode="border", align_corners=False)


def _blur(pictures: Tensor) -> Tensor:
    """Return the pictures, each pixel as the mean of 3 x 3 pixels."""
    return functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
