rule sample_part:
    input:
        needs("sample"),
    output:
        temp(touch(f".snakemake/parts/sample-{{part}}-of-{jobs('sample')}")),
    log:
        f"{LOGS}/sample-{{part}}-of-{jobs('sample')}.log",
    threads: THREADS
    resources:
        mem_mb=8000,
        gpu=GPUS,
        runtime=240,
    params:
        jobs=jobs("sample"),
    shell:
        RUN + " sample --part {wildcards.part}/{params.jobs} --threads {threads} --log-to {log:q}"


rule sample:
    input:
        needs("sample"),
        parts("sample"),
    output:
        touch(done("sample")),
    log:
        f"{LOGS}/sample.log",
    benchmark:
        f"{LOGS}/sample.tsv"
    threads: THREADS
    resources:
        mem_mb=8000,
        gpu=GPUS,
        runtime=240,
    shell:
        RUN + ALONE + " sample --threads {threads} --log-to {log:q}"
