"""Train the tiny model in one of the processes of torchrun.

    PYTHONPATH=src:tests torchrun --nproc-per-node=N tests/support/train_under_torchrun.py MODEL MICRO_BATCH [INITIAL]

The first process writes the model to MODEL. With MICRO_BATCH 0, batches are not divided. The training starts with the
weights in the safetensors file INITIAL, or with random ones.
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

from omokage.diffusion.model import save_model
from omokage.training.config import ComputeConfig
from omokage.training.distributed import ProcessGroup
from support.training import CPU, make_spec, train_tiny

torch.set_num_threads(1)
path, micro_batch = Path(sys.argv[1]), int(sys.argv[2])
weights = load_file(sys.argv[3]) if len(sys.argv) > 3 else None
compute = ComputeConfig(CPU, torch.float32, ProcessGroup.join(CPU), micro_batch or None)
result = train_tiny(path.with_suffix(".work"), compute=compute, weights=weights, steps=4)
if compute.group.rank == 0:
    save_model(path, result.network, make_spec())
