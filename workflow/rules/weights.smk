localrules: weights


rule weights:
    input:
        needs("weights"),
    output:
        touch(done("weights")),
    log:
        f"{LOGS}/weights.log",
    benchmark:
        f"{LOGS}/weights.tsv"
    threads: THREADS
    resources:
        mem_mb=1000,
        runtime=60,
    shell:
        RUN + " weights --threads {threads} --log-to {log:q}"
