rule faces:
    input:
        needs("faces"),
    output:
        touch(done("faces")),
    log:
        f"{LOGS}/faces.log",
    benchmark:
        f"{LOGS}/faces.tsv"
    threads: THREADS
    resources:
        mem_mb=4000,
        runtime=240,
    shell:
        RUN + " faces --threads {threads} --log-to {log:q}"
