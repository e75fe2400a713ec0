rule faces_part:
    input:
        needs("faces"),
    output:
        temp(touch(f".snakemake/parts/faces-{{part}}-of-{jobs('faces')}")),
    log:
        f"{LOGS}/faces-{{part}}-of-{jobs('faces')}.log",
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        jobs=jobs("faces"),
    shell:
        RUN + " faces --part {wildcards.part}/{params.jobs} --threads {threads} --log-to {log:q}"


rule faces:
    input:
        needs("faces"),
        parts("faces"),
    output:
        touch(done("faces")),
    log:
        f"{LOGS}/faces.log",
    benchmark:
        f"{LOGS}/faces.tsv"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=240,
    shell:
        RUN + " faces --threads {threads} --log-to {log:q}"
