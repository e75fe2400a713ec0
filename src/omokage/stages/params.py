"""Stage `params`: check params.yaml.

The output is constant, so no other stage reruns when this stage does.
"""

from pathlib import Path

from omokage.base.checkout import find_main_checkout
from omokage.base.errors import UserError
from omokage.base.job import Job
from omokage.data.sources import styles
from omokage.data.sources.folder_names import check_names
from omokage.params.schema import Params


def run(job: Job[Params]) -> None:
    """Write data/checked.txt. Raises UserError for an unknown avatar style, or a user's file that DVC cannot read.

    Before this function is called, the runner checks the parameters against the whole schema.
    """
    styles.check_styles(job.params.avatar_styles)
    folder = find_main_checkout(Path.cwd()) / job.params.folder
    if not folder.exists():
        raise UserError(
            f"params.yaml: folder = {job.params.folder!r}: {folder} does not exist: expected a folder, zip or tar "
            "of images, relative to the main checkout (the default is 'pictures')"
        )
    check_names(folder, job.params.folder)
    model = find_main_checkout(Path.cwd()) / "models" / job.params.init_from
    if not model.is_file():
        raise UserError(
            f"params.yaml: init_from = {job.params.init_from!r}: {model} is not a file: copy a model file, such as the "
            "results/model.safetensors of a run, into the folder models (the default is 'none')"
        )
    job.output("data/checked.txt").write_text("params.yaml fits the schema\n", encoding="utf-8")
