# With `train_processes: N` in a profile's configfile, N processes train together, each on a GPU of its own where there are
# GPUs; `micro_batch: N` is how many pictures fit into memory at once. Neither decides what comes out.
TRAIN_PROCESSES = int(config.get("train_processes", 1))
TRAIN = RUN
if TRAIN_PROCESSES > 1:
    torchrun = f"-m torch.distributed.run --standalone --nproc-per-node={TRAIN_PROCESSES} -m"
    TRAIN = RUN.replace(" -m ", f" {torchrun} ", 1)
if "micro_batch" in config:
    os.environ["OMOKAGE_MICRO_BATCH"] = str(config["micro_batch"])


rule train:
    input:
        needs("train"),
    output:
        touch(done("train")),
    log:
        f"{LOGS}/train.log",
    benchmark:
        f"{LOGS}/train.tsv"
    threads: THREADS * TRAIN_PROCESSES
    resources:
        mem_mb=16000,
        runtime=2880,
    shell:
        TRAIN + f" train --threads {THREADS} --log-to {{log:q}}"
