"""Write samples batch by batch to a folder of PNG files, a zip of PNG files or an npz file, and resume.

The file samples.json in the folder of the batches describes the samples. It is written first, so that a later call with
other settings is refused. In a zip or npz file, this description is the comment of the archive.
"""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.base.errors import UserError
from omokage.base.files import PARTIAL, partial_path, write_atomically, write_text
from omokage.base.progress import show_progress
from omokage.cli.output_file import refuse_existing
from omokage.figures.sheet import Images
from omokage.stamps.stamp import save_png

DESCRIPTION_FILE = "samples.json"
# The name of the array in npz files of samples since guided-diffusion (Dhariwal & Nichol 2021): uint8 [n, h, w, 3].
ARRAY = "arr_0.npy"
YEAR_ZERO = (1980, 1, 1, 0, 0, 0)  # of zip files: a fixed time, so that equal samples give equal bytes
Description = Mapping[str, Any]


class PngFolder:
    """A folder with a PNG file for each sample, named by its number. Every PNG has a stamp.

    `description` says what determines the samples: `sample` has their settings, and `model` is the sha256 of the model.
    Raises UserError if the folder holds something else, or more than `count` samples; with `force`, the samples of an
    earlier run are removed.
    """

    def __init__(self, folder: Path, description: Description, count: int, force: bool) -> None:
        self.folder, self.description, self.count = folder, description, count
        if force and (folder / DESCRIPTION_FILE).is_file():
            _remove_samples(folder)
        _claim_folder(folder, description)
        if self._locate(count).exists():
            raise UserError(f"{folder} has more than {count} samples: choose another folder with --out, or a larger -n")

    @property
    def is_complete(self) -> bool:
        """Whether all samples are there."""
        return self.has(range(self.count))

    def has(self, numbers: range) -> bool:
        """Return whether the samples with these numbers are there."""
        return all(self._locate(number).exists() for number in numbers)

    def write(self, numbers: range, images: Images) -> None:
        """Write the samples with these numbers, uint8 [n, 3, h, w]."""
        for number, image in zip(numbers, images, strict=True):
            with write_atomically(self._locate(number)) as partial:
                partial.write_bytes(encode_png(image, number, self.description))

    def finish(self) -> None:
        """Remove what a killed process has left unfinished."""
        for path in self.folder.glob(f"{PARTIAL}*"):
            path.unlink(missing_ok=True)

    def read(self, count: int) -> Images:
        """Return the first `count` samples, uint8 [n, 3, h, w]."""
        return np.stack([_decode_png(self._locate(number)) for number in range(count)])

    def _locate(self, number: int) -> Path:
        return self.folder / f"{number:06d}.png"


class Archive:
    """A zip file of PNG files, or an npz file; the batches are in a hidden folder next to it until all are there.

    The arguments are those of PngFolder, with the path of the archive. With `force` an existing one is overwritten.
    """

    def __init__(self, path: Path, description: Description, count: int, force: bool) -> None:
        self.path, self.count = path, count
        self.description = {**description, "count": count}
        self.parts = partial_path(path)
        self.is_complete = not force and _read_comment(path) == self.description
        if self.is_complete:
            shutil.rmtree(self.parts, ignore_errors=True)
        else:
            if not force:
                refuse_existing(path)
            elif self.parts.is_dir():
                shutil.rmtree(self.parts)
            _claim_folder(self.parts, self.description)

    def has(self, numbers: range) -> bool:
        """Return whether the batch with these numbers is there."""
        return self._locate(numbers).exists()

    def write(self, numbers: range, images: Images) -> None:
        """Write a batch, uint8 [n, 3, h, w]."""
        with write_atomically(self._locate(numbers)) as partial, partial.open("wb") as file:
            np.save(file, images)

    def finish(self) -> None:
        """Write the archive, and remove the folder of the batches."""
        batches = map(np.load, show_progress(sorted(self.parts.glob("*.npy")), "write", unit="batch"))
        with write_atomically(self.path) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as archive:
            archive.comment = json.dumps(self.description, sort_keys=True).encode()
            (self._write_array if self.path.suffix.lower() == ".npz" else self._write_pngs)(archive, batches)
        shutil.rmtree(self.parts)

    def read(self, count: int) -> Images:
        """Return the first `count` samples, uint8 [n, 3, h, w]."""
        with zipfile.ZipFile(self.path) as archive:
            if self.path.suffix.lower() == ".npz":
                with archive.open(ARRAY) as file:
                    return _read_array(file, count)
            return np.stack([_decode_png(io.BytesIO(archive.read(f"{i:06d}.png"))) for i in range(count)])

    def _locate(self, numbers: range) -> Path:
        return self.parts / f"{numbers.start:09d}.npy"

    def _write_pngs(self, archive: zipfile.ZipFile, batches: Iterator[Images]) -> None:
        number = 0
        for batch in batches:
            for image in batch:
                content = encode_png(image, number, self.description)
                archive.writestr(zipfile.ZipInfo(f"{number:06d}.png", YEAR_ZERO), content)
                number += 1

    def _write_array(self, archive: zipfile.ZipFile, batches: Iterator[Images]) -> None:
        with archive.open(zipfile.ZipInfo(ARRAY, YEAR_ZERO), "w", force_zip64=True) as file:
            for number, batch in enumerate(batches):
                pixels = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
                if number == 0:
                    header = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *pixels.shape[1:])}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(pixels.tobytes())


def make_stamp(description: Description, **keys: Any) -> dict[str, Any]:
    """Return the stamp of an image: the settings of the samples with further `keys`, and the model's sha256."""
    return {"sample": {**description["sample"], **keys}, "model": description["model"]}


def encode_png(image: Images, number: int, description: Description) -> bytes:
    """Return the sample with this number, uint8 [3, h, w], as the bytes of a PNG file with a stamp."""
    content, pixels = io.BytesIO(), np.ascontiguousarray(image.transpose(1, 2, 0))
    save_png(Image.fromarray(pixels), content, make_stamp(description, number=number))
    return content.getvalue()


def _decode_png(file: Path | IO[bytes]) -> Images:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def _read_array(file: IO[bytes], count: int) -> Images:
    """Return the first `count` images of an array in the format of NumPy, as uint8 [n, 3, h, w]."""
    np.lib.format.read_magic(file)
    (_, *shape), _, _ = np.lib.format.read_array_header_1_0(file)
    content = file.read(count * int(np.prod(shape)))
    pixels: NDArray[np.uint8] = np.frombuffer(content, np.uint8).reshape(count, *shape)
    return pixels.transpose(0, 3, 1, 2)


def _read_comment(path: Path) -> Any:
    """Return the description in an archive, or None if the file has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.comment)
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _claim_folder(folder: Path, description: Description) -> None:
    """Write the description to a new or empty folder; raise UserError if the folder has another, or other files."""
    place = folder / DESCRIPTION_FILE
    if not place.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError(f"{folder} is not empty, and has no samples of this command: choose another --out")
        write_text(place, json.dumps(description, indent=1, sort_keys=True) + "\n")
        return
    try:
        earlier = json.loads(place.read_text(encoding="utf-8"))
        old, new = ({**values, **values["sample"], "sample": None} for values in (earlier, description))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{place} is damaged: start again with --force, or choose another --out") from error
    if different := [key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]:
        key = different[0]
        raise UserError(
            f"{folder} has samples with another {key} ({old.get(key)}, now {new.get(key)}): choose another --out, or "
            "start again with --force"
        )


def _remove_samples(folder: Path) -> None:
    """Remove the samples of an earlier run, and their description, from a folder."""
    for path in folder.glob("[0-9]*.png"):
        if path.stem.isdecimal():
            path.unlink()
    (folder / DESCRIPTION_FILE).unlink()
