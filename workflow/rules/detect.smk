rule detect_part:
    input:
        needs("detect"),
    output:
        temp(touch(f".snakemake/parts/detect-{{part}}-of-{jobs('detect')}")),
    log:
        f"{LOGS}/detect-{{part}}-of-{jobs('detect')}.log",
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        jobs=jobs("detect"),
    shell:
        RUN + " detect --part {wildcards.part}/{params.jobs} --threads {threads} --log-to {log:q}"


rule detect:
    input:
        needs("detect"),
        parts("detect"),
    output:
        touch(done("detect")),
    log:
        f"{LOGS}/detect.log",
    benchmark:
        f"{LOGS}/detect.tsv"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=240,
    shell:
        RUN + " detect --threads {threads} --log-to {log:q}"
