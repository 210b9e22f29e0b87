"""Runs a piece of Python in several processes of ``torch.distributed`` on this machine."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

from programs import Program

_BEFORE = """
import sys, torch, torch.distributed as dist
from pathlib import Path
sys.path[:0] = {modules!r}
torch.set_num_threads(1)
rank, folder = int(sys.argv[1]), Path({folder!r})
dist.init_process_group("gloo", init_method={store!r}, rank=rank, world_size={processes})
"""
_AFTER = """
dist.destroy_process_group()
"""


def together(
    code: str, folder: Path, *, processes: int, modules: Path, timeout: float = 600
) -> list[subprocess.CompletedProcess[str]]:
    """Run code in several processes, and wait for all of them.

    Args:
        code: finds ``rank``, ``folder`` and ``dist``.
        folder: where it may write.
        processes: how many.
        modules: folder from which it can import.
        timeout: seconds after which they are killed.
    """
    store = f"file://{folder}/{uuid.uuid4()}"
    before = _BEFORE.format(
        modules=[str(modules), str(Path(__file__).parent)], folder=str(folder), store=store, processes=processes
    )
    program = before + code + _AFTER
    running = [Program("-c", program, rank) for rank in range(processes)]
    try:
        told = [process.communicate(timeout=timeout) for process in running]
    finally:
        for process in running:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.wait(), *texts)
        for process, texts in zip(running, told, strict=True)
    ]
