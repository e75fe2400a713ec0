localrules: report


rule report:
    input:
        needs("report"),
    output:
        touch(done("report")),
    log:
        f"{LOGS}/report.log",
    benchmark:
        f"{LOGS}/report.tsv"
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=10,
    shell:
        RUN + " report --threads {threads} --log-to {log:q}"
