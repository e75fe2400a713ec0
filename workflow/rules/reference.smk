rule reference:
    input:
        needs("reference"),
    output:
        touch(done("reference")),
    log:
        f"{LOGS}/reference.log",
    benchmark:
        f"{LOGS}/reference.tsv"
    threads: THREADS
    resources:
        mem_mb=8000,
        gpu=GPUS,
        runtime=60,
    shell:
        RUN + ALONE + " reference --threads {threads} --log-to {log:q}"
