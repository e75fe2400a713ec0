rule train:
    input:
        needs("train"),
    output:
        touch(done("train")),
    log:
        f"{LOGS}/train.log",
    benchmark:
        f"{LOGS}/train.tsv"
    threads: THREADS
    resources:
        mem_mb=16000,
        runtime=2880,
    shell:
        RUN + " train --threads {threads} --log {log:q}"
