localrules: figures


rule figures:
    input:
        needs("figures"),
    output:
        touch(done("figures")),
    log:
        f"{LOGS}/figures.log",
    benchmark:
        f"{LOGS}/figures.tsv"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=30,
    shell:
        RUN + " figures --threads {threads} --log-to {log:q}"
