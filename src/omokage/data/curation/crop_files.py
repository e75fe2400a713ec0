"""Write and read crop files: the face crops of some images, with the FaceRecord and the descriptors of each face.

A crop file is in the safetensors format and holds the results of one chunk of images.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from omokage.base.files import hash_bytes
from omokage.data.curation.curate import FaceRecord
from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.curation.face_cropper import PREVIEW_SIDE, FaceCrop, FaceCropper
from omokage.data.detection import table
from omokage.data.images import zip_reader


@dataclass(frozen=True)
class Previews:
    """Previews of faces and of images, uint8 [n, side, side, 3] each, for the search for copies (see FaceCrop).

    `faces` has those of the faces with pixels, in order. `names` are the file names of the images in `images`.
    """

    faces: NDArray[np.uint8]
    images: NDArray[np.uint8]
    names: list[str]

    @classmethod
    def collect(cls, crops: Sequence[FaceCrop]) -> "Previews":
        """Return the previews of some crops."""
        with_images = [crop for crop in crops if crop.image_preview is not None]
        faces = [crop.preview for crop in crops if crop.preview is not None]
        images = [crop.image_preview for crop in with_images if crop.image_preview is not None]
        empty = np.empty((0, PREVIEW_SIDE, PREVIEW_SIDE, 3), np.uint8)
        return cls(
            np.stack(faces) if faces else empty,
            np.stack(images) if images else empty,
            [crop.image for crop in with_images],
        )


@dataclass(frozen=True)
class CropWriter:
    """Crops the faces from images, and writes the crops of a chunk of images to one file.

    The images are read from the zip file `archive`. The face boxes are read from `detections`, which is the table
    that the stage `detect` writes.
    """

    archive: Path
    detections: Path
    cropper: FaceCropper

    def __call__(self, numbers: range, path: Path) -> None:
        """Write the faces of some images to `path`; `numbers` are positions in the result of `load_detections`.

        The file has the arrays `pixels`, `previews` and `image_previews`, and one per descriptor. The face records and
        the names of the images that have a preview are JSON texts in its metadata.
        """
        results = load_detections(self.detections)
        records = [record for number in numbers for record in self._crop(results[number])]
        side = self.cropper.side
        crops = [record.crop.pixels for record in records if record.crop.pixels is not None]
        pixels = np.stack(crops) if crops else np.empty((0, 3, side, side), np.uint8)
        previews = Previews.collect([record.crop for record in records])
        rows = [
            [record.file_sha256, record.pixels_sha256, *vars(_without_images(record.crop)).values()]
            for record in records
        ]
        arrays = {"pixels": pixels, "previews": previews.faces, "image_previews": previews.images}
        metadata = {"rows": json.dumps(rows), "images": json.dumps(previews.names)}
        save_file({**arrays, **vars(FaceDescriptors.compute(pixels))}, path, metadata)

    def _crop(self, result: table.DetectionResult) -> Iterator[FaceRecord]:
        content = zip_reader.read_image_file(self.archive, result.image) if result.size else b""
        file_sha256 = hash_bytes(content)
        for crop in self.cropper(result, content):
            pixels_sha256 = "" if crop.pixels is None else hash_bytes(crop.pixels.tobytes())
            yield FaceRecord(crop, file_sha256, pixels_sha256)


def _without_images(crop: FaceCrop) -> FaceCrop:
    return replace(crop, pixels=None, preview=None, image_preview=None)


@lru_cache(maxsize=1)
def load_detections(path: Path) -> list[table.DetectionResult]:
    """Return the results in the table at `path`, one per image. Each process reads the table once."""
    return list(table.read_detections(path))


def read_crops(chunks: Sequence[Path]) -> tuple[list[FaceRecord], FaceDescriptors]:
    """Return the face records in the crop files `chunks`, and the descriptors of the faces that have pixels.

    The pixels themselves are not read: the field `pixels` of every crop is None. A face has pixels in a crop file if
    `pixels_sha256` is not empty.
    """
    records, descriptors = [], []
    for path in chunks:
        with safe_open(path, "numpy") as file:
            for file_sha256, pixels_sha256, *crop in json.loads(file.metadata()["rows"]):
                records.append(FaceRecord(FaceCrop(*crop), file_sha256, pixels_sha256))
            descriptors.append(FaceDescriptors(*map(file.get_tensor, FaceDescriptors.__dataclass_fields__)))
    return records, FaceDescriptors.concatenate(descriptors)


def read_previews(chunks: Sequence[Path]) -> Previews:
    """Return the previews in the crop files `chunks`, in the order of the files."""
    names = []
    for path in chunks:
        with safe_open(path, "numpy") as file:
            names += json.loads(file.metadata()["images"])
    return Previews(_read_images(chunks, "previews"), _read_images(chunks, "image_previews"), names)


def _read_images(chunks: Sequence[Path], name: str) -> NDArray[np.uint8]:
    """Return the images in the arrays `name` of the crop files, [n, side, side, 3]. They are in memory only once."""
    counts = []
    for path in chunks:
        with safe_open(path, "numpy") as file:
            counts.append(file.get_slice(name).get_shape()[0])
    images = np.empty((sum(counts), PREVIEW_SIDE, PREVIEW_SIDE, 3), np.uint8)
    for path, end, count in zip(chunks, np.cumsum(counts), counts, strict=True):
        with safe_open(path, "numpy") as file:
            images[end - count : end] = file.get_tensor(name)
    return images


def read_pixels(chunks: Sequence[Path], is_selected: Sequence[bool]) -> Iterator[NDArray[np.uint8]]:
    """Yield the selected faces of the crop files `chunks`, uint8 [3, side, side].

    `is_selected` has one entry for each face that has pixels, in the order of the files.
    """
    mask, start = np.array(is_selected, bool), 0
    for path in chunks:
        with safe_open(path, "numpy") as file:
            faces = file.get_tensor("pixels")
        # Indexing with a mask copies, so a yielded face does not keep the faces of the whole file in memory.
        yield from faces[mask[start : start + len(faces)]]
        start += len(faces)
