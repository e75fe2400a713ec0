"""Check all of params.yaml against the schema; the output is a constant, so that nothing reruns on its account."""

from pathlib import Path

from omokage.checkout import main_checkout
from omokage.data.sources import styles
from omokage.errors import Refused
from omokage.job import Job
from omokage.params.whole import Params


def run(job: Job[Params]) -> None:
    """Refuse a style or a `folder` that is not there (what breaks the schema never gets this far); say all is well."""
    styles.check(job.params.avatar_styles)
    folder = main_checkout(Path.cwd()) / job.params.folder
    if not folder.exists():
        raise Refused(
            f"params.yaml: folder = {job.params.folder!r}: there is no {folder}: "
            "give a folder or a zip of pictures, relative to the main checkout (the default is 'pictures')"
        )
    job.output("data/checked.txt").write_text("params.yaml fits the schema\n", encoding="utf-8")
