"""Stage `download`: the pictures of the chosen source in one zip, with a manifest."""

import hashlib
import json

from omokage.data.pictures import Collection, pack
from omokage.data.sources import avatars, folder, kaggle
from omokage.job import Job
from omokage.params.download import Params


def run(job: Job[Params]) -> None:
    """Write data/pictures.zip and data/manifest.json; raise Refused if the source gives no pictures."""
    manifest = pack(job.params.source, _collect(job), job.output("data/pictures.zip"), job.output("data/manifest.json"))
    listed = json.dumps(manifest["pictures"], sort_keys=True).encode()
    job.facts.update(
        source=manifest["source"],
        name=manifest["name"],
        version=manifest["version"],
        pictures=manifest["count"],
        content=hashlib.sha256(listed).hexdigest(),
        licences=[f"{a['title']} by {a['author']}: {a['licence']}" for a in manifest["licences"]],
    )


def _collect(job: Job[Params]) -> Collection:
    params = job.params
    if params.source == "folder":
        return folder.collect(job.input("remote://checkout/${folder}"), params.folder)
    if params.source == "kaggle":
        return kaggle.collect(params.kaggle_dataset, params.kaggle_version)
    return avatars.collect(
        styles=params.avatar_styles,
        count=params.avatar_count,
        backgrounds=params.avatar_backgrounds,
        size=params.avatar_size,
        seed=params.avatar_seed,
        processes=job.threads,
    )
