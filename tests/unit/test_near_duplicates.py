"""Near-duplicates are those that a comparison of all pairs finds, and are never in both splits."""

import io
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from support.images import encode_image, read_index, run_faces

from omokage.data import shards
from omokage.data.curation import curate
from omokage.data.curation.curate import CurationDecision, FaceRecord, QualityLimits
from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.curation.face_cropper import FaceCrop
from omokage.data.curation.near_duplicates import MAX_HASH_DISTANCE, find_near_duplicates
from omokage.data.curation.splits import assign_splits, choose_sides
from omokage.data.sources.avatars import AvatarRenderer

TOLERANCE = 10.0
NO_LIMITS = QualityLimits(min_sharpness=0, min_contrast=0, min_colour=0, near_duplicates=0)


def are_near_duplicates(descriptors: FaceDescriptors, first: int, second: int, tolerance: float) -> bool:
    """Return whether two faces are near-duplicates, by a direct comparison."""
    distance = int(descriptors.phash[first] ^ descriptors.phash[second]).bit_count()
    difference = descriptors.thumbnails[first].astype(float) - descriptors.thumbnails[second]
    return distance <= MAX_HASH_DISTANCE and float(np.sqrt(np.square(difference).mean())) <= tolerance


def make_noisy_copies(count: int, side: int = 32) -> np.ndarray:
    """Return `count` blocky images, each with three copies under more and more noise, in random order."""
    generator = np.random.default_rng(0)
    blocks = generator.integers(0, 256, (count, 1, 3, 8, 8)).repeat(side // 8, 3).repeat(side // 8, 4)
    noise = generator.normal(0, 1, (count, 4, 3, side, side)) * np.array([0, 4, 30, 90]).reshape(4, 1, 1, 1)
    images = (blocks + noise).clip(0, 255).astype(np.uint8).reshape(-1, 3, side, side)
    return np.asarray(images[generator.permutation(len(images))])


@pytest.mark.parametrize("tolerance", [3.0, 6.0, 20.0])
def test_near_duplicates_are_those_that_a_comparison_of_every_pair_finds(tolerance: float) -> None:
    descriptors = FaceDescriptors.compute(make_noisy_copies(150))
    pairs = [pair for pair in combinations(range(600), 2) if are_near_duplicates(descriptors, *pair, tolerance)]
    assert len(pairs) > 50
    expected: dict[int, int] = {}
    for earlier, later in sorted(pairs, key=lambda pair: (pair[1], pair[0])):
        if earlier not in expected:
            expected.setdefault(later, earlier)
    originals = find_near_duplicates(descriptors, tolerance, threads=2)
    assert originals == expected == find_near_duplicates(descriptors, tolerance, threads=1)
    distinct = set(range(600)) - set(originals)
    assert not any(first in distinct and second in distinct for first, second in pairs)


def test_a_pair_at_the_tolerance_is_found_across_blocks() -> None:
    colours = [(0, 0, 0)] * 63 + [(4, 4, 6), (10, 10, 12)]
    thumbnails = np.array(colours, np.uint8).reshape(-1, 1, 1, 3).repeat(16, 1).repeat(16, 2)
    zeros = np.zeros(65, np.float32)
    phash = np.array([2**64 - 1] * 63 + [0, 0], np.uint64)
    descriptors = FaceDescriptors(phash, thumbnails, zeros, zeros, zeros)
    assert find_near_duplicates(descriptors, 6.0, threads=1)[64] == 63


def make_web_copies(image: Image.Image) -> dict[str, bytes]:
    """Return copies of an image as they are common on the web, by file name."""
    smaller = image.resize((100, 100), Image.Resampling.BICUBIC)
    moved = image.transform(image.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0), fillcolor=image.getpixel((0, 0)))
    return {
        "compressed.jpg": encode_image(image, "JPEG", quality=60),
        "small.png": encode_image(smaller),
        "bright.png": encode_image(ImageEnhance.Brightness(image).enhance(1.02)),
        "moved.webp": encode_image(moved, "WEBP", quality=90),
        "palette.gif": encode_image(image.quantize(64), "GIF"),
    }


def test_web_copies_of_avatars_are_dropped_and_none_is_in_both_splits(tmp_path: Path) -> None:
    renderer = AvatarRenderer(("adventurer",), ("b6e3f4", "ffd5dc"), 128, 0)
    images = {f"{number:03d}.png": renderer(number) for number in range(60)}
    for name in list(images)[:12]:
        avatar = Image.open(io.BytesIO(images[name])).convert("RGB")
        images |= {f"{name}-{kind}": content for kind, content in make_web_copies(avatar).items()}
    out, rows, counts = run_faces(tmp_path, images, image_size=32, near_duplicates=TOLERANCE)
    for row in rows:
        if row["fate"] == "dropped":
            kind, _, original = row["reason"].partition(" of ")
            assert kind in ("near-duplicate", "duplicate")
            assert original.partition("-")[0] == row["picture"].partition("-")[0] and original != row["picture"]
    assert {row["picture"].partition("-")[0] for row in rows if row["fate"] == "kept"} == set(list(images)[:60])
    assert counts["kept"] == 60
    descriptors = {
        split: FaceDescriptors.compute(shards.read_faces(out / "faces", split).numpy())
        for split in ("train", "held_out")
    }
    both = FaceDescriptors.concatenate([descriptors["train"], descriptors["held_out"]])
    train = len(descriptors["train"].phash)
    pairs = product(range(train), range(train, 60))
    assert not any(are_near_duplicates(both, *pair, TOLERANCE) for pair in pairs)
    unfiltered = run_faces(tmp_path, images, image_size=32, near_duplicates=0.0)[0]
    splits = {row["picture"]: row["split"] for row in read_index(unfiltered)}
    is_separated = [splits[name] != splits[name.partition("-")[0]] for name in splits if "-" in name]
    assert any(is_separated), "without the filter some copies must be in the other split"


def make_record(name: str, content: int) -> FaceRecord:
    """Return the record of a face whose file and pixels have hashes that depend on `content`."""
    digest = f"{content * 2**250:064x}"
    return FaceRecord(FaceCrop(name, 1, (8, 8), "whole", (0, 0, 8, 8)), digest, digest)


NAMES = st.text("abc", min_size=1, max_size=3)
SETS = st.dictionaries(NAMES, st.integers(0, 40), min_size=1)
FACES = make_noisy_copies(11)[:41]


def curate_faces(images: dict[str, int], tolerance: float) -> tuple[list[str], list[CurationDecision], list[str]]:
    """Return the side, the decision and the split of each face, for images by name (sorted) with content in FACES."""
    records = [make_record(name, content) for name, content in sorted(images.items())]
    descriptors = FaceDescriptors.compute(FACES[[content for _, content in sorted(images.items())]])
    groups = np.arange(len(records))
    sides = choose_sides(records, groups.tolist(), 0.4)
    decisions = curate.decide_curation(records, descriptors, groups, sides, QualityLimits(0, 0, 0, tolerance), 1)
    return sides, decisions, assign_splits(sides, decisions)


@settings(max_examples=200, derandomize=True)
@given(old=SETS, new=SETS, tolerance=st.sampled_from([0.0, 6.0, 30.0]))
def test_added_images_do_not_change_the_split_of_others(
    old: dict[str, int], new: dict[str, int], tolerance: float
) -> None:
    def split_images(images: dict[str, int]) -> dict[str, str]:
        splits = curate_faces(images, tolerance)[2]
        return {name: split for name, split in zip(sorted(images), splits, strict=True) if split}

    before, after = split_images(old), split_images(new | old)
    assert before
    assert all(after[name] == split for name, split in before.items() if name in after)


@settings(max_examples=200, derandomize=True)
@given(images=SETS, tolerance=st.sampled_from([6.0, 30.0, 60.0]))
def test_no_near_duplicates_are_in_both_splits_and_a_held_out_one_is_kept(
    images: dict[str, int], tolerance: float
) -> None:
    names = sorted(images)
    sides, decisions, splits = curate_faces(images, tolerance)
    descriptors = FaceDescriptors.compute(FACES[[images[name] for name in names]])
    train, held_out = ([row for row, split in enumerate(splits) if split == side] for side in ("train", "held_out"))
    assert not any(are_near_duplicates(descriptors, *pair, tolerance) for pair in product(train, held_out))
    for row, decision in enumerate(decisions):
        if decision.is_dropped:
            original = names.index(decision.reason.removeprefix("near-duplicate of "))
            assert are_near_duplicates(descriptors, row, original, tolerance) and splits[original]
            assert sides[original] == "held_out" or sides[row] == "train"


def test_filters_drop_faces_below_their_limit_and_are_off_at_zero() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (3, 16, 16), np.uint8)
    grey = np.repeat(sharp[:1], 3, 0)
    plain = np.full((3, 16, 16), 90, np.uint8) + np.array([0, 60, 120], np.uint8).reshape(3, 1, 1)
    ramp = np.stack([np.tile(np.arange(16, dtype=np.uint8) * 15, (16, 1)), plain[1], plain[2]])
    descriptors = FaceDescriptors.compute(np.stack([sharp, grey, plain, ramp]))
    records = [make_record(name, number) for number, name in enumerate(("sharp", "grey", "plain", "ramp"))]

    def filter_faces(**limits: float) -> dict[str, str]:
        limited = replace(NO_LIMITS, **limits)
        sides = ["train"] * len(records)
        decisions = curate.decide_curation(records, descriptors, np.arange(len(records)), sides, limited, 1)
        pairs = zip(records, decisions, strict=True)
        return {record.crop.image: decision.kind for record, decision in pairs if decision.is_dropped}

    assert filter_faces() == {}
    assert filter_faces(min_colour=3.0) == {"grey": "colourless"}
    assert filter_faces(min_contrast=3.0) == {"plain": "uniform"}
    assert filter_faces(min_sharpness=50.0) == {"plain": "blurred", "ramp": "blurred"}
