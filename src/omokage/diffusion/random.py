"""Randomness without state: every number is a function of (seed, purpose, index).

So a resumed run draws what the uninterrupted one would have drawn, and what one part draws cannot disturb another.
"""

from hashlib import blake2b

import torch


def generator(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """Return a CPU generator that depends on its arguments alone."""
    digest = blake2b(f"{seed}/{purpose}/{index}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little"))
