# The workflow is in workflow/; this file lets `snakemake` find it. An include does not set the default target.
include: "workflow/Snakefile"


workflow.default_target = "all"
