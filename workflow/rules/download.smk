localrules: download


rule download:
    input:
        needs("download"),
    output:
        touch(done("download")),
    log:
        f"{LOGS}/download.log",
    benchmark:
        f"{LOGS}/download.tsv"
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=600,
    shell:
        RUN + " download --threads {threads} --log-to {log:q}"
