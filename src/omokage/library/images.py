"""Convert the images of a model, uint8 tensors, to Pillow images."""

import math

import numpy as np
from PIL import Image
from torch import Tensor

from omokage.base.errors import UserError


def to_pil(images: Tensor) -> list[Image.Image]:
    """Return the images, uint8 [n, 3, h, w], as Pillow images of the same size. Raises UserError for other tensors."""
    check_images(images)
    return [Image.fromarray(np.asarray(image.permute(1, 2, 0).cpu())) for image in images]


def to_grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """Return a grid of images, uint8 [n, 3, h, w], as one Pillow image, filled row by row.

    Small images are enlarged by a whole factor, without smoothing. Without `columns` the grid is about square. Raises
    UserError for other tensors.
    """
    check_images(images)
    # Imported late, because this module loads matplotlib.
    from omokage.figures.sheet import tile_images

    return tile_images(np.asarray(images.cpu()), columns or math.ceil(len(images) ** 0.5))


def check_images(images: Tensor, side: int | None = None) -> None:
    """Raise UserError unless `images` are uint8 [n, 3, h, w] with n > 0, and with h = w = `side` if it is given."""
    shape = tuple(images.shape)
    is_valid = str(images.dtype) == "torch.uint8" and len(shape) == 4 and shape[1] == 3 and 0 not in shape
    if not is_valid or (side is not None and shape[2:] != (side, side)):
        size = "height, width" if side is None else f"{side}, {side}"
        dtype = str(images.dtype).removeprefix("torch.")
        raise UserError(f"images are {dtype} {list(shape)}: expected uint8 [n, 3, {size}]")
