rule transform:
    input:
        needs("transform"),
    output:
        touch(done("transform")),
    log:
        f"{LOGS}/transform.log",
    benchmark:
        f"{LOGS}/transform.tsv"
    threads: THREADS
    resources:
        mem_mb=8000,
        gpu=GPUS,
        runtime=30,
    shell:
        RUN + ALONE + " transform --threads {threads} --log-to {log:q}"
