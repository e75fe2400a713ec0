"""Group copies: faces that are copies of each other, and images that are, or that have such faces."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from omokage.data.curation.copies import find_copies, join_identical, number_groups
from omokage.data.curation.crop_files import Previews
from omokage.data.curation.curate import FaceRecord


def find_groups(
    records: Sequence[FaceRecord], previews: Previews, tolerance: float, threads: int
) -> tuple[NDArray[np.int64], list[int]]:
    """Return the group of copies of each face with pixels, and the group of the image of each face.

    `previews` are those of the faces in `records`, and `tolerance` is that of `find_copies`.
    """
    hashes = [record.pixels_sha256 for record in records if record.pixels_sha256]
    face_groups = join_identical(find_copies(previews.faces, tolerance, threads), hashes)
    image_groups = find_copies(previews.images, tolerance, threads).tolist()
    return face_groups, group_images(records, face_groups, dict(zip(previews.names, image_groups, strict=True)))


def group_images(
    records: Sequence[FaceRecord], face_groups: NDArray[np.int64], image_groups: Mapping[str, int]
) -> list[int]:
    """Return the group of the image of each face. Images are in one group if they, or any of their faces, are copies.

    `face_groups` has the group of copies of each face with pixels, and `image_groups` those of images by name.
    """
    images = {name: number for number, name in enumerate(dict.fromkeys(record.crop.image for record in records))}
    with_pixels = [images[record.crop.image] for record in records if record.pixels_sha256]
    # Images are numbered first, then the groups of faces, then the groups of images.
    first_face = len(images)
    first_image = first_face + int(face_groups.max(initial=-1)) + 1
    pairs = [
        *zip(with_pixels, (first_face + face_groups).tolist(), strict=True),
        *((images[name], first_image + group) for name, group in image_groups.items()),
    ]
    count = first_image + max(image_groups.values(), default=-1) + 1
    groups = number_groups(count, np.array(pairs, np.int64).reshape(-1, 2))
    return [int(groups[images[record.crop.image]]) for record in records]
