"""What the data card shows: pictures with the boxes found in them, faces kept, held out and dropped, sizes, colours."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omokage.data import cuts, packed, text
from omokage.data.curate import SPLITS, Fate, Known
from omokage.data.decode import UnusableError, decode
from omokage.data.signs import Signs

SIDE, PICTURES, FACES = 96, 40, 12

T = TypeVar("T")


def card(
    archive: Path,
    pieces: Sequence[Path],
    known: Sequence[Known],
    fates: Sequence[Fate],
    sides: Sequence[str],
    signs: Signs,
) -> dict[str, NDArray]:
    """Return the arrays that the card is drawn from; what is shown is spread evenly over what there is.

    `pictures`, uint8 [n, 3, SIDE, SIDE], are small copies of pictures that were searched for faces (of any, if none
    was), `boxes`, int16 [m, 6], the squares in them: number of the picture, left, top, right and bottom in its pixels,
    1 if that face was kept. `train_faces` and `held_out_faces`, uint8 [k, 3, side, side], are faces as they are in the
    shards, `dropped`, uint8 [k, 3, SIDE, SIDE], pictures of dropped ones, with the `kinds` (see `text`). `sizes`, int32
    [pictures], are the shorter sides in pixels; `train_colours` and `held_out_colours`, uint8 [faces, 3], mean colours.
    """
    of_picture: dict[str, list[int]] = {}
    for row, one in enumerate(known):
        if one.face.size:
            of_picture.setdefault(one.face.picture, []).append(row)
    searched = [name for name, rows in of_picture.items() if known[rows[0]].face.how != "whole"]
    pictures: list[NDArray[np.uint8]] = []
    boxes = []
    for name in _spread(searched or list(of_picture), PICTURES):
        if (small := _small(archive, name)) is not None:
            scale = SIDE / max(known[of_picture[name][0]].face.size or (SIDE,))
            for row in of_picture[name]:
                if box := known[row].face.box:
                    boxes.append([len(pictures), *(round(edge * scale) for edge in box), int(not fates[row].kind)])
            pictures.append(small)
    lost = [
        (known[row].face.picture, fates[row].kind) for rows in of_picture.values() for row in rows if fates[row].kind
    ]
    dropped = [(small, kind) for name, kind in _spread(lost, FACES) if (small := _small(archive, name)) is not None]
    colours = signs.thumbnails.mean((1, 2)).round().astype(np.uint8)
    with_pixels = np.array([side for one, side in zip(known, sides, strict=True) if one.pixels])
    faces = {}
    for split in SPLITS:
        rows = np.nonzero(with_pixels == split)[0]
        wanted = np.isin(np.arange(len(with_pixels)), _spread(rows.tolist(), FACES))
        faces[f"{split}_faces"] = np.stack(list(cuts.pixels(pieces, wanted.tolist())))
        faces[f"{split}_colours"] = colours[rows]
    return {
        "pictures": np.array(pictures, np.uint8).reshape(-1, 3, SIDE, SIDE),
        "boxes": np.array(boxes, np.int16).reshape(-1, 6),
        "dropped": np.array([small for small, _ in dropped], np.uint8).reshape(-1, 3, SIDE, SIDE),
        "kinds": text.encode([kind for _, kind in dropped]),
        "sizes": np.array([min(known[rows[0]].face.size or (0,)) for rows in of_picture.values()], np.int32),
        **faces,
    }


def _spread(items: Sequence[T], most: int) -> list[T]:
    return [items[round(at)] for at in np.linspace(0, len(items) - 1, min(most, len(items)))]


def _small(archive: Path, name: str) -> NDArray[np.uint8] | None:
    """Return a picture with its longer side at SIDE, on white; None where it cannot be decoded."""
    try:
        picture = decode(packed.content(archive, name))
    except UnusableError:
        return None
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    paper = Image.new("RGB", (SIDE, SIDE), "white")
    paper.paste(picture.resize(size, Image.Resampling.LANCZOS))
    return np.asarray(paper).transpose(2, 0, 1)
