# How and where the stages of dvc.yaml run. DVC passes `--config stage=NAME`; then only that stage has a rule, so no
# other stage can run without DVC. Without `--config stage`, every stage has a rule.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/stages.smk"


rule all:
    default_target: True
    input:
        [pipeline.marker(name) for name in pipeline.names],
