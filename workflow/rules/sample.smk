# With `sample_jobs: N` in a profile's configfile the pictures are drawn by N jobs. They leave their pieces in a folder
# named after this run's hash, from which `sample` collects them; the markers here only say that a job is done.
SAMPLE_JOBS = int(config.get("sample_jobs", 1))

if workflow.is_main_process:
    shutil.rmtree(ROOT / ".snakemake" / "parts", ignore_errors=True)


rule sample_part:
    input:
        needs("sample"),
    output:
        temp(touch(f".snakemake/parts/sample-{{part}}-of-{SAMPLE_JOBS}")),
    log:
        f"{LOGS}/sample-{{part}}-of-{SAMPLE_JOBS}.log",
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=240,
    shell:
        RUN + f" sample --part {{wildcards.part}}/{SAMPLE_JOBS} --threads {{threads}} --log-to {{log:q}}"


rule sample:
    input:
        needs("sample"),
        [f".snakemake/parts/sample-{part}-of-{SAMPLE_JOBS}" for part in range(SAMPLE_JOBS) if SAMPLE_JOBS > 1],
    output:
        touch(done("sample")),
    log:
        f"{LOGS}/sample.log",
    benchmark:
        f"{LOGS}/sample.tsv"
    threads: THREADS
    resources:
        mem_mb=8000,
        runtime=240,
    shell:
        RUN + " sample --threads {threads} --log-to {log:q}"
