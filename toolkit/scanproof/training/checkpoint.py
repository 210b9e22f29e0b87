"""How far a training has come, kept in a file after every epoch so that it can go on after a kill."""

from __future__ import annotations

import hashlib
import io
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from scanproof.errors import ScanproofError
from scanproof.training.processes import Processes

_DIGEST = hashlib.sha256().digest_size


@dataclass
class Progress:
    """How far a training has come.

    Args:
        rows: metrics of the epochs so far, with ``epoch``.
        best: weights of the best epoch, on the CPU.
        best_epoch: counted from one; zero before the first.
        best_score: its score, larger is better.
        stopped: patience has run out.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = 0
    best_score: float = 0.0
    stopped: bool = False

    def add(self, row: Mapping[str, float], *, score: float, network: nn.Module, patience: int) -> None:
        """Note the end of an epoch.

        Raises:
            ScanproofError: a metric that is not finite.
        """
        epoch = len(self.rows) + 1
        for key, value in row.items():
            if not math.isfinite(value):
                raise ScanproofError(
                    f"{key} must stay finite", key=f"epoch {epoch}", value=value, hint="try a lower learning rate"
                )
        self.rows.append({"epoch": epoch, **row})
        if self.best_epoch == 0 or score > self.best_score:
            self.best_epoch, self.best_score = epoch, score
            self.best = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
        elif epoch - self.best_epoch >= patience:
            self.stopped = True


class Stateful(Protocol):
    """What can be saved: a network, an optimiser, a schedule."""

    def state_dict(self) -> dict[str, Any]:
        """Its state."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take over a state."""


@dataclass(frozen=True)
class Checkpoint:
    """The file of a training.

    Args:
        path: where it lies.
        identity: what tells this training from others.
        states: what is saved and restored.
    """

    path: Path
    identity: Mapping[str, Any]
    states: Mapping[str, Stateful]

    def save(self, progress: Progress, *, random: Mapping[str, Tensor]) -> None:
        """Write the file, so that a kill leaves the old one or the new one.

        Args:
            progress: how far the training has come.
            random: states of the random generators.

        Raises:
            ScanproofError: it cannot be written (disk full, no permission). The old one is kept.
        """
        content = {
            "identity": dict(self.identity),
            "states": {name: one.state_dict() for name, one in self.states.items()},
            "progress": vars(progress),
            "random": dict(random),
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        data = buffer.getvalue()
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                # readers of the format do not mind what follows its end
                temporary.write_bytes(data + hashlib.sha256(data).digest())
                temporary.replace(self.path)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise ScanproofError(
                f"checkpoint of a training must be writable: {error.strerror or error}",
                file=self.path,
                hint="finished epochs are kept: mend this and run again",
            ) from error

    def resume(self, progress: Progress, processes: Processes) -> dict[str, Tensor] | None:
        """Go on from the file, which the first process reads for all of them.

        Returns:
            The states of the random generators; None where there is no file or, with a warning, an unreadable one.

        Raises:
            ScanproofError: it is of another training.
        """
        content = processes.tell(self._read() if processes.first else None)
        if content is None:
            return None
        found = content["identity"]
        for key, value in self.identity.items():
            if found.get(key) != value:
                raise ScanproofError(
                    f"checkpoint must be of this training, with {key} {value}",
                    file=self.path,
                    key=key,
                    value=found.get(key),
                    hint="delete it to train anew",
                )
        for name, one in self.states.items():
            one.load_state_dict(content["states"][name])
        vars(progress).update(content["progress"])
        random: dict[str, Tensor] = content["random"]
        return random

    def _read(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            whole = self.path.read_bytes()
            data, digest = whole[:-_DIGEST], whole[-_DIGEST:]
            # PyTorch itself does not notice a flipped bit
            if hashlib.sha256(data).digest() != digest:
                raise ValueError("it is damaged")
            # tensors and plain types only: nothing in it can run
            content: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            return {name: content[name] for name in ("identity", "states", "progress", "random")}
        except Exception as error:
            said = str(error).partition("\n")[0]
            warnings.warn(
                f"{self.path}: checkpoint cannot be read, training starts anew: {said}", RuntimeWarning, stacklevel=4
            )
            return None


def states_of(
    network: nn.Module,
    optimisers: Sequence[torch.optim.Optimizer],
    schedules: Sequence[torch.optim.lr_scheduler.LRScheduler],
) -> dict[str, Stateful]:
    """What a training consists of, by name."""
    states: dict[str, Stateful] = {"network": network}
    for number, (optimiser, schedule) in enumerate(zip(optimisers, schedules, strict=True)):
        states |= {f"optimiser {number}": optimiser, f"schedule {number}": schedule}
    return states
