rule reference:
    input:
        needs("reference"),
        due("reference"),
    output:
        STAGES["reference"].record,
    log:
        f"{LOGS}/reference.log",
    benchmark:
        f"{LOGS}/reference.tsv"
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=60,
    shell:
        RUN + " reference --threads {threads} --log {log:q}"
