# One rule for each stage. A stage that is split into several jobs (JOBS) has a second rule, for those jobs.

# Requests to the scheduler: memory in MB, time limit in minutes, and a GPU for stages that compute with torch. Stages
# marked `local` run on the login node, since they need the internet or take only seconds.
RESOURCES = {
    "params": {"mem_mb": 1000, "runtime": 10, "local": True},
    "download": {"mem_mb": 2000, "runtime": 600, "local": True},
    "detect": {"mem_mb": 4000, "runtime": 240},
    "faces": {"mem_mb": 4000, "runtime": 240},
    "extractor_weights": {"mem_mb": 1000, "runtime": 60, "local": True},
    "reference": {"mem_mb": 8000, "runtime": 60, "gpu": True},
    "train": {"mem_mb": 16000, "runtime": 2880},  # GPUs: TRAIN_RESOURCES
    "sample": {"mem_mb": 8000, "runtime": 240, "gpu": True},
    "transform": {"mem_mb": 8000, "runtime": 30, "gpu": True},
    "evaluate": {"mem_mb": 8000, "runtime": 60, "gpu": True},
    "figures": {"mem_mb": 4000, "runtime": 30, "local": True},
    "report": {"mem_mb": 2000, "runtime": 10, "local": True},
}


def resources(stage):
    """Return the resources that a stage's rules request, by Snakemake's names."""
    request = RESOURCES[stage]
    return {
        "mem_mb": request["mem_mb"],
        "runtime": request["runtime"],
        **({"gpu": GPUS} if request.get("gpu") else {}),
        **(TRAIN_RESOURCES if stage == "train" else {}),
    }


def command(stage):
    """Return the command that runs a stage, without the options that all stages share."""
    if stage == "train":
        return f"{train_command()} train"
    return f"{RUN} {EXCLUSIVE if RESOURCES[stage].get('gpu') else ''}{stage}"


# Expressions in `shell` are evaluated after the loop, so values that differ between stages are passed through `params`.
for STAGE in pipeline.names:

    rule:
        name:
            STAGE
        input:
            pipeline.find_inputs(STAGE),
            pipeline.part_markers(STAGE) if STAGE in JOBS else [],
        output:
            touch(pipeline.marker(STAGE)),
        log:
            f"{LOGS}/{STAGE}.log",
        benchmark:
            f"{LOGS}/{STAGE}.tsv"
        threads: TRAIN_THREADS if STAGE == "train" else THREADS
        localrule: RESOURCES[STAGE].get("local", False)
        resources:
            **resources(STAGE),
        params:
            command=command(STAGE),
            threads=THREADS,
        shell:
            "{params.command} --threads {params.threads} --log-to {log:q}"

    if STAGE in JOBS:

        rule:
            name:
                f"{STAGE}_part"
            input:
                pipeline.find_inputs(STAGE),
            output:
                temp(touch(f".snakemake/parts/{STAGE}-{{part}}-of-{JOBS[STAGE]}")),
            log:
                f"{LOGS}/{STAGE}-{{part}}-of-{JOBS[STAGE]}.log",
            threads: THREADS
            resources:
                **resources(STAGE),
            params:
                command=f"{RUN} {STAGE}",
                jobs=JOBS[STAGE],
                threads=THREADS,
            shell:
                "{params.command} --part {wildcards.part}/{params.jobs} --threads {params.threads} --log-to {log:q}"
