"""Find the file of an output of any revision: in the checkout, or in DVC's cache."""

from pathlib import Path

from omokage.pipeline.dvc_lock import hash_md5


def find_cached(root: Path, path: str, md5: str) -> Path | None:
    """Return a file with this MD5: the output `path` of the checkout `root`, or a file in DVC's cache, or None."""
    place = root / path
    if place.is_file() and hash_md5(place) == md5:
        return place
    # Imported late, because this module loads DVC, which takes a second.
    from omokage.pipeline.dvc_run_cache import OBJECTS, find_cache

    cached = find_cache(root) / OBJECTS / md5[:2] / md5[2:]
    return cached if cached.is_file() else None
