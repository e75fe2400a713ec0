rule evaluate:
    input:
        needs("evaluate"),
    output:
        touch(done("evaluate")),
    log:
        f"{LOGS}/evaluate.log",
    benchmark:
        f"{LOGS}/evaluate.tsv"
    threads: THREADS
    resources:
        mem_mb=8000,
        gpu=GPUS,
        runtime=60,
    shell:
        RUN + ALONE + " evaluate --threads {threads} --log-to {log:q}"
