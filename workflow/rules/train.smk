# With `train_processes: N` in a profile's configfile, N processes train together, each on a GPU of its own where there are
# GPUs; with `train_nodes: N` as many on each of N nodes; `micro_batch: N` is how many pictures fit into memory at once.
# None of them decides what comes out.
TRAIN_NODES = number("train_nodes")
TRAIN_PROCESSES = number("train_processes")
TRAIN_RESOURCES = {"nodes": TRAIN_NODES, "gpu": GPUS * TRAIN_PROCESSES}
if TRAIN_NODES > 1:
    # One task a node, which the rule starts itself (mpi, in the words of Snakemake's plugin) from this, the first node.
    TRAIN_RESOURCES = {"nodes": TRAIN_NODES, "tasks": TRAIN_NODES, "mpi": "srun"}
    if GPUS:
        TRAIN_RESOURCES |= {"gres": f"gpu:{GPUS * TRAIN_PROCESSES}", "tasks_per_gpu": 0}


def training():
    """The command that trains: alone, in processes that torchrun starts here, or on each of several nodes."""
    torchrun = f"{PYTHON} -m torch.distributed.run --nproc-per-node={TRAIN_PROCESSES}"
    if TRAIN_NODES > 1:
        srun = f"srun --ntasks={TRAIN_NODES} --ntasks-per-node=1 --cpus-per-task={THREADS * TRAIN_PROCESSES}"
        first = "$(hostname):$((20000 + SLURM_JOB_ID % 10000))"
        meeting = f"--nnodes={TRAIN_NODES} --rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID --rdzv-endpoint={first}"
        return f"exec {srun} {torchrun} {meeting} -m omokage.runner"
    # Of several processes the first would wait for the device, and the others not that long for it.
    return f"exec {torchrun} --standalone -m omokage.runner" if TRAIN_PROCESSES > 1 else RUN + ALONE


if "micro_batch" in config:
    os.environ["OMOKAGE_MICRO_BATCH"] = str(number("micro_batch"))


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
        # Snakemake gives a job no more threads than there are cores where it runs itself: on the login node.
        cpus_per_task=THREADS * TRAIN_PROCESSES,
        **TRAIN_RESOURCES,
    shell:
        training() + f" train --threads {THREADS} --log-to {{log:q}}"
