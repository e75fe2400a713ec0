# How and where the stages of dvc.yaml run. With `--config stage=NAME`, as DVC calls it, only that stage exists, so that
# nothing upstream can rerun behind DVC's back; without it the whole graph does.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"


for STAGE in [config["stage"]] if "stage" in config else STAGES:

    include: f"workflow/rules/{STAGE}.smk"


rule all:
    default_target: True
    input:
        [done(name) for name in ([config["stage"]] if "stage" in config else STAGES)],
