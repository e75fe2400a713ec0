"""Stateless randomness: every random number is a function of a seed, a purpose and an index.

Hence a resumed run gets the same numbers as an uninterrupted run. The numbers for one purpose do not depend on how many
are generated for another purpose.
"""

from hashlib import blake2b

import torch


def make_generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """Return a CPU generator whose stream depends only on the arguments.

    `purpose` says what the random numbers are for, such as "noise". `index` is a number within the purpose, such as the
    training step.
    """
    digest = blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
