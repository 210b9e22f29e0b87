"""Which Ray cluster to use and what a task may take of it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from scanproof.errors import ScanproofError
from scanproof.study.kinds import Needs

#: environment variable that names a running cluster
ENVIRONMENT = "RAY_ADDRESS"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Ray cluster.

    Args:
        address: of one that runs, ``HOST:PORT``, or ``auto`` for the one of this machine; default what
            ``RAY_ADDRESS`` names, and a cluster that is started on this machine, for this machine alone, without.
        gpus: that each training asks for; it then computes on CUDA. A fraction shares a GPU.
        memory: in bytes, that each task asks for; 0 where it is not known.

    Raises:
        ScanproofError: a negative number, or more than one GPU that is not whole.

    Example:
        >>> Cluster(gpus=0.5).needs(cpus=2, trains=True)
        Needs(cpus=2, gpus=0.5, memory=0)
        >>> Cluster(gpus=0.5).needs(cpus=2, trains=False)
        Needs(cpus=2, gpus=0, memory=0)
    """

    address: str | None = None
    gpus: float = 0
    memory: int = 0

    def __post_init__(self) -> None:
        if not self.gpus >= 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise ScanproofError("must be 0, a fraction of one or a whole number", key="gpus", value=self.gpus)
        if self.memory < 0:
            raise ScanproofError("must not be negative", key="memory", value=self.memory)

    @property
    def running(self) -> str | None:
        """Address of a cluster that runs already; None where one is started here."""
        address = self.address or os.environ.get(ENVIRONMENT)
        return None if address == "local" else address

    def needs(self, *, cpus: int, trains: bool) -> Needs:
        """What a task takes."""
        return Needs(cpus=cpus, gpus=self.gpus if trains else 0, memory=self.memory)
