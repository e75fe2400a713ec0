"""Near-duplicates: found as a plain comparison of all pairs finds them, and never on both sides of the split."""

import io
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from test_faces import encoded, index, run

from omokage.data import curate, shards
from omokage.data.alike import BITS, near_duplicates
from omokage.data.curate import Known, Limits
from omokage.data.faces import Face
from omokage.data.signs import Signs
from omokage.data.sources.avatars import Artist

TOLERANCE = 10.0
OFF = Limits(sharpness=0, contrast=0, colour=0, near_duplicates=0)


def alike(signs: Signs, one: int, other: int, tolerance: float) -> bool:
    bits = int(signs.phash[one] ^ signs.phash[other]).bit_count()
    apart = signs.thumbnails[one].astype(float) - signs.thumbnails[other]
    return bits <= BITS and float(np.sqrt(np.square(apart).mean())) <= tolerance


def families(count: int, side: int = 32) -> np.ndarray:
    """Faces in families of four: a picture, and three that stray from it more and more."""
    draw = np.random.default_rng(0)
    rough = draw.integers(0, 256, (count, 1, 3, 8, 8)).repeat(side // 8, 3).repeat(side // 8, 4)
    strayed = rough + draw.normal(0, 1, (count, 4, 3, side, side)) * np.array([0, 4, 30, 90]).reshape(4, 1, 1, 1)
    mixed = strayed.clip(0, 255).astype(np.uint8).reshape(-1, 3, side, side)
    return np.asarray(mixed[draw.permutation(len(mixed))])


@pytest.mark.parametrize("tolerance", [3.0, 6.0, 20.0])
def test_near_duplicates_are_those_that_comparing_every_pair_finds(tolerance: float) -> None:
    signs = Signs.of(families(150))
    pairs = [pair for pair in combinations(range(600), 2) if alike(signs, *pair, tolerance)]
    assert len(pairs) > 50
    expected: dict[int, int] = {}
    for earlier, later in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        if earlier not in expected:
            expected.setdefault(later, earlier)
    found = near_duplicates(signs, tolerance, threads=2)
    assert found == expected == near_duplicates(signs, tolerance, threads=1)
    left = set(range(600)) - set(found)
    assert not any(one in left and other in left for one, other in pairs)


def test_a_pair_at_the_tolerance_is_found_across_blocks() -> None:
    colours = [(0, 0, 0)] * 63 + [(4, 4, 6), (10, 10, 12)]
    thumbnails = np.array(colours, np.uint8).reshape(-1, 1, 1, 3).repeat(16, 1).repeat(16, 2)
    nothing = np.zeros(65, np.float32)
    phash = np.array([2**64 - 1] * 63 + [0, 0], np.uint64)
    assert near_duplicates(Signs(phash, thumbnails, nothing, nothing, nothing), 6.0, 1)[64] == 63


def copies(picture: Image.Image) -> dict[str, bytes]:
    """What becomes of a picture on the web."""
    smaller = picture.resize((100, 100), Image.Resampling.BICUBIC)
    moved = picture.transform(
        picture.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0), fillcolor=picture.getpixel((0, 0))
    )
    return {
        "compressed.jpg": encoded(picture, "JPEG", quality=60),
        "small.png": encoded(smaller),
        "bright.png": encoded(ImageEnhance.Brightness(picture).enhance(1.02)),
        "moved.webp": encoded(moved, "WEBP", quality=90),
        "palette.gif": encoded(picture.quantize(64), "GIF"),
    }


def test_planted_copies_of_avatars_are_dropped_and_none_is_on_both_sides(tmp_path: Path) -> None:
    artist = Artist(("adventurer",), ("b6e3f4", "ffd5dc"), 128, 0)
    pictures = {f"{number:03d}.png": artist(number) for number in range(60)}
    for name in list(pictures)[:12]:
        drawn = Image.open(io.BytesIO(pictures[name])).convert("RGB")
        pictures |= {f"{name}-{kind}": content for kind, content in copies(drawn).items()}
    out, fates, tally = run(tmp_path, pictures, image_size=32, near_duplicates=TOLERANCE)
    for row in fates:
        original, _, kind = row["picture"].partition("-")
        assert row["fate"] == ("dropped" if kind else "kept")
        assert row["reason"] in (("", f"near-duplicate of {original}", f"duplicate of {original}")[bool(kind) :])
    assert tally["kept"] == 60
    signs = {split: Signs.of(shards.read(out / "faces", split).numpy()) for split in ("train", "held_out")}
    both = Signs.joined([signs["train"], signs["held_out"]])
    first = len(signs["train"].phash)
    assert not any(alike(both, one, other, TOLERANCE) for one in range(first) for other in range(first, 60))
    without = run(tmp_path, pictures, image_size=32, near_duplicates=0.0)[0]
    side = {row["picture"]: row["split"] for row in index(without)}
    assert any(side[name] != side[name.partition("-")[0]] for name in side if "-" in name), "nothing was at stake"


def known(name: str, content: int) -> Known:
    digest = f"{content * 2**250:064x}"
    return Known(Face(name, 1, (8, 8), "whole", (0, 0, 8, 8)), digest, digest)


NAMES = st.text("abc", min_size=1, max_size=3)
SETS = st.dictionaries(NAMES, st.integers(0, 40), min_size=1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(old=SETS, new=SETS, tolerance=st.sampled_from([0.0, 6.0, 30.0]))
def test_pictures_that_are_added_move_no_other_to_the_other_side(
    old: dict[str, int], new: dict[str, int], tolerance: float
) -> None:
    faces = families(11)[:41]

    def sides(pictures: dict[str, int]) -> dict[str, str]:
        some = [known(name, content) for name, content in sorted(pictures.items())]
        signs = Signs.of(faces[[content for _, content in sorted(pictures.items())]])
        fates = curate.fates(some, signs, Limits(0, 0, 0, tolerance), 1)
        return {one.face.picture: side for one, side in zip(some, curate.sides(some, fates, 0.4), strict=True) if side}

    before, after = sides(old), sides(new | old)
    assert before
    assert all(after[name] == side for name, side in before.items() if name in after)


def test_filters_drop_what_lies_under_their_limit_and_are_off_at_zero() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (3, 16, 16), np.uint8)
    grey = np.repeat(sharp[:1], 3, 0)
    plain = np.full((3, 16, 16), 90, np.uint8) + np.array([0, 60, 120], np.uint8).reshape(3, 1, 1)
    ramp = np.stack([np.tile(np.arange(16, dtype=np.uint8) * 15, (16, 1)), plain[1], plain[2]])
    signs = Signs.of(np.stack([sharp, grey, plain, ramp]))
    some = [known(name, number) for number, name in enumerate(("sharp", "grey", "plain", "ramp"))]

    def dropped(**limits: float) -> dict[str, str]:
        fates = curate.fates(some, signs, Limits(**{**vars(OFF), **limits}), 1)
        return {one.face.picture: fate.kind for one, fate in zip(some, fates, strict=True) if fate.kind}

    assert dropped() == {}
    assert dropped(colour=3.0) == {"grey": "colourless"}
    assert dropped(contrast=3.0) == {"plain": "uniform"}
    assert dropped(sharpness=50.0) == {"plain": "blurred", "ramp": "blurred"}
