# The resources and the command of `train`. Two keys of a profile's configfile affect only the speed and the last bits
# of sums:
# `train_nodes`: number of nodes
# `train_processes`: number of processes on each node, each with its own GPU if the node has GPUs
TRAIN_THREADS = THREADS * TRAIN_PROCESSES
# Snakemake gives a job no more threads than the login node has cores, so request them from SLURM as well.
TRAIN_RESOURCES = {"nodes": TRAIN_NODES, "cpus_per_task": TRAIN_THREADS, "gpu": GPUS * TRAIN_PROCESSES}
if TRAIN_NODES > 1:
    # The rule itself starts one task on each node with srun; Snakemake's plugin calls such a job `mpi`.
    TRAIN_RESOURCES = {"nodes": TRAIN_NODES, "cpus_per_task": TRAIN_THREADS, "tasks": TRAIN_NODES, "mpi": "srun"}
    if GPUS:
        TRAIN_RESOURCES |= {"gres": f"gpu:{GPUS * TRAIN_PROCESSES}", "tasks_per_gpu": 0}


def train_command():
    """Return the command that trains in one process, in several processes on one node, or on several nodes."""
    torchrun = f"{PYTHON} -m torch.distributed.run --nproc-per-node={TRAIN_PROCESSES}"
    if TRAIN_NODES > 1:
        srun = f"srun --ntasks={TRAIN_NODES} --ntasks-per-node=1 --cpus-per-task={TRAIN_THREADS}"
        endpoint = "$(hostname):$((20000 + SLURM_JOB_ID % 10000))"
        rendezvous = f"--rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID --rdzv-endpoint={endpoint}"
        return f"exec {srun} {torchrun} --nnodes={TRAIN_NODES} {rendezvous} -m omokage.pipeline.runner"
    # No --exclusive with several processes: while the first process waited for the device, the others would time out.
    return f"exec {torchrun} --standalone -m omokage.pipeline.runner" if TRAIN_PROCESSES > 1 else f"{RUN} {EXCLUSIVE}"
