"""Run the stage download with source: kaggle in the folder OUT, for tests that need a separate process.

python -m support.kaggle_stage OUT
"""

import json
import sys
from pathlib import Path

from omokage.base.errors import UserError
from omokage.base.job import Job
from omokage.net import retry
from omokage.params.download import Params
from omokage.stages import download


def main(out: Path) -> None:
    """Write pictures.zip and manifest.json, and to record.json the facts that the stage would record about the run."""
    retry.PAUSES = (0.02, 0.05)
    out.mkdir(exist_ok=True)
    params = Params(
        source="kaggle",
        avatar_styles=["lorelei"],
        avatar_count=1,
        avatar_backgrounds=["ffffff"],
        avatar_size=32,
        avatar_seed=0,
        folder="pictures",
        kaggle_dataset="someone/faces",
        kaggle_version=3,
    )
    outputs = {name: out / Path(name).name for name in ("data/pictures.zip", "data/manifest.json")}
    job = Job(params, inputs={}, outputs=outputs, work=out, threads=1)
    try:
        download.run(job)
    except UserError as error:
        sys.exit(f"ERROR {error}")
    (out / "record.json").write_text(json.dumps(job.facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
