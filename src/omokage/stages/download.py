"""Stage `download`: pack the images of the chosen source into one zip, with a manifest."""

import json
from collections.abc import Callable

from omokage.base.checkout import REMOTE
from omokage.base.files import hash_bytes
from omokage.base.job import Job
from omokage.data.sources import avatars, folder, kaggle
from omokage.data.sources.collection import Collection, pack_images, report_skipped
from omokage.params.download import Params


def run(job: Job[Params]) -> None:
    """Write data/pictures.zip and data/manifest.json. Raises UserError if the source has no images."""
    archive, manifest_file = job.output("data/pictures.zip"), job.output("data/manifest.json")
    manifest = pack_images(job.params.source, SOURCES[job.params.source](job), archive, manifest_file)
    report_skipped(manifest)
    images = json.dumps(manifest["pictures"], sort_keys=True).encode()
    job.facts.update(
        source=manifest["source"],
        name=manifest["name"],
        version=manifest["version"],
        pictures=manifest["count"],
        content=hash_bytes(images),
        licences=[f"{work['title']} by {work['author']}: {work['licence']}" for work in manifest["licences"]],
    )


def _collect_avatars(job: Job[Params]) -> Collection:
    params = job.params
    return avatars.collect(
        styles=params.avatar_styles,
        count=params.avatar_count,
        backgrounds=params.avatar_backgrounds,
        size=params.avatar_size,
        seed=params.avatar_seed,
        processes=job.threads,
    )


def _collect_folder(job: Job[Params]) -> Collection:
    return folder.collect(job.input(REMOTE + "${folder}"), job.params.folder)


def _collect_kaggle(job: Job[Params]) -> Collection:
    return kaggle.collect(job.params.kaggle_dataset, job.params.kaggle_version)


# The names are the choices of `source` in params/download.py.
SOURCES: dict[str, Callable[[Job[Params]], Collection]] = {
    "avatars": _collect_avatars,
    "folder": _collect_folder,
    "kaggle": _collect_kaggle,
}
