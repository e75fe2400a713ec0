# One rule for each stage. A stage that is split into several jobs (JOBS) has a second rule, for those jobs.
# Expressions in `shell` are evaluated after the loop, so values that differ between stages are passed through `params`.
for STAGE in pipeline.names:

    rule:
        name:
            STAGE
        input:
            inputs(STAGE),
            pipeline.part_markers(STAGE) if STAGE in JOBS else [],
        output:
            outputs(STAGE),
        log:
            f"{LOGS}/{STAGE}.log",
        benchmark:
            f"{LOGS}/{STAGE}.tsv"
        localrule: RESOURCES[STAGE].get("local", False)
        conda:
            ENVIRONMENT
        threads: TRAIN_THREADS if STAGE == "train" else THREADS
        resources:
            **resources(STAGE),
        params:
            command=command(STAGE),
            threads=THREADS,
        shell:
            "{params.command} --threads {params.threads} --log-to {log:q}"

    workflow.get_rule(STAGE).docstring = pipeline.stages[STAGE].description
    if STAGE in JOBS:

        rule:
            name:
                f"{STAGE}_part"
            input:
                inputs(STAGE),
            output:
                temp(touch(f".snakemake/parts/{STAGE}-{{part}}-of-{JOBS[STAGE]}")),
            log:
                f"{LOGS}/{STAGE}-{{part}}-of-{JOBS[STAGE]}.log",
            conda:
                ENVIRONMENT
            threads: THREADS
            resources:
                **resources(STAGE),
            params:
                command=f"{RUN} {STAGE}",
                jobs=JOBS[STAGE],
                threads=THREADS,
            shell:
                "{params.command} --part {wildcards.part}/{params.jobs} --threads {params.threads} --log-to {log:q}"
