localrules: download


rule download:
    input:
        needs("download"),
        due("download"),
    output:
        STAGES["download"].record,
    log:
        f"{LOGS}/download.log",
    benchmark:
        f"{LOGS}/download.tsv"
    threads: THREADS
    resources:
        mem_mb=2000,
        runtime=600,
    shell:
        RUN + " download --threads {threads} --log {log:q}"
