localrules: params


rule params:
    input:
        needs("params"),
    output:
        touch(done("params")),
    log:
        f"{LOGS}/params.log",
    benchmark:
        f"{LOGS}/params.tsv"
    threads: THREADS
    resources:
        mem_mb=1000,
        runtime=10,
    shell:
        RUN + " params --threads {threads} --log-to {log:q}"
