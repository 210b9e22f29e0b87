"""The processes that ``torchrun`` starts, and where they compute."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from scanproof.errors import ScanproofError
from scanproof.training.processes import Processes

#: how long a process waits for another before it gives up
PATIENCE = timedelta(minutes=30)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Train with the processes that ``torchrun`` started, for the length of a block; alone without it.

    Args:
        device: ``"cpu"``, where processes talk over gloo, or ``"cuda"``, where each has a device of its own and they
            talk over NCCL.

    Raises:
        ScanproofError: a device that is not there, or processes that do not find each other.
    """
    import torch.distributed as dist

    from scanproof.training.devices import train_on

    with train_on(device, local_rank=int(os.environ.get("LOCAL_RANK", "0"))):
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            yield Processes()
            return
        try:
            # what is on the CPU travels over gloo in either case
            dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            raise ScanproofError(
                "processes of torchrun must find each other",
                hint=f"start them as: torchrun --nproc-per-node N -m scanproof train STUDY; {error}",
            ) from error
        try:
            yield Processes.now()
            dist.barrier()  # a process that leaves early takes away what another still listens to
        finally:
            dist.destroy_process_group()
