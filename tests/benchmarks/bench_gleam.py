"""Unrolled networks: memory, step time and quality of the training modes, for several numbers of unrolls.

Times are medians of steps that are taken in turn by all modes. Memory is measured in a process of its own for each
mode: bytes that autograd stores at a time (what checkpointing computes anew is not among them), and the working
memory: the peak of a GPU's allocator or, on Linux, of the resident memory above what it was before the steps, less
gradients and the optimiser's state, which are shown apart. PSNR is that of test slices after equal steps.

With ``--processes``, greedy learning in several processes is timed against one, in turn, a thread each, and the
weights are compared.

    python tests/benchmarks/bench_gleam.py --json build/bench/gleam.json
    python tests/benchmarks/bench_gleam.py --dimensions 3 --matrix 48 --features 16 --numbers 4 8 16
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor

from scanproof.data.demo.generator import demo_cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.reconstruction.unrolled.network import Acquired, UnrolledNetwork
from scanproof.reconstruction.unrolled.pipeline import PipelinedLearner
from scanproof.reconstruction.unrolled.reconstructors import Modl, ProximalGradient
from scanproof.study.acquire import AcquiredCohort, Sampling
from scanproof.training.learner import Learner

METHODS = {"proximal_gradient": ProximalGradient, "modl": Modl}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MODES = ("end_to_end", "checkpointing", "invertible", "greedy")


def batches(
    split: str, *, slices: int, batch: int, matrix: int, dimensions: Literal[2, 3] = 2
) -> list[tuple[Acquired, Tensor]]:
    """Slices of a demo site, eight coils, every fourth line at random; or volumes of eight slices."""
    cohort = demo_cohort(
        "north",
        subjects={split: slices},
        slices=8 if dimensions == 3 else 1,
        adjacent=dimensions == 3,
        matrix=(matrix, matrix),
        seed=1,
    )
    sampling = Sampling(mask="random", acceleration=4, center_fraction=0.08, dimensions=dimensions)
    samples = AcquiredCohort(cohort, sampling=sampling, seed=1)[:slices]
    groups = [samples[start : start + batch] for start in range(0, slices, batch)]
    return [
        (
            tuple(torch.stack([one[key] for one in group]).to(DEVICE) for key in (KSPACE, MASK, SENSITIVITIES)),
            torch.stack([one[REFERENCE] for one in group]).to(DEVICE),
        )
        for group in groups
    ]  # type: ignore[misc]


def make(arguments: argparse.Namespace, *, unrolls: int, mode: str) -> tuple[UnrolledNetwork, Learner]:
    """A network and what teaches it; equal weights for all modes."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"unrolls": unrolls, "training": mode, "features": arguments.features}
    if mode == "greedy":
        options["modules"] = unrolls // arguments.module
    method = METHODS[arguments.method](learning_rate=arguments.learning_rate, **options)
    method.in_dimensions(arguments.dimensions)
    network = method.build().to(DEVICE)
    return network, method.learner(network)


def psnr(network: UnrolledNetwork, data: list[tuple[Acquired, Tensor]]) -> float:
    values = []
    with torch.no_grad():
        for acquired, reference in data:
            error = (network(acquired) - reference).flatten(1).square().mean(dim=1).sqrt()
            values += (20 * torch.log10(reference.flatten(1).amax(dim=1) / error)).tolist()
    return statistics.mean(values)


def stored(learner: Learner, data: tuple[Acquired, Tensor]) -> int:
    """Most bytes that autograd holds at a time during a step."""
    held: dict[int, tuple[int, int]] = {}
    most = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal most
            self.tensor = tensor
            storage = tensor.untyped_storage()
            self.key = storage.data_ptr()
            count, _ = held.get(self.key, (0, 0))
            held[self.key] = (count + 1, storage.nbytes())
            most = max(most, sum(size for _, size in held.values()))

        def __del__(self) -> None:
            count, size = held.pop(self.key)
            if count > 1:
                held[self.key] = (count - 1, size)

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda one: one.tensor):
        learner.step(*data)
    return most


def start_peak() -> int:
    """Bytes in use now, from which :func:`peak` counts."""
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")
    return resident("VmRSS")


def peak() -> int:
    """Most bytes in use since :func:`start_peak`: of the allocator on a GPU, else of the process."""
    return torch.cuda.max_memory_allocated() if DEVICE == "cuda" else resident("VmHWM")


def resident(what: str) -> int:
    """A line of what Linux knows about this process's memory, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(f"{what}:")))


def measure_memory(arguments: argparse.Namespace) -> dict[str, float]:
    """Memory of one mode, in MiB; run in a process of its own."""
    network, learner = make(arguments, unrolls=arguments.unrolls, mode=arguments.mode)
    data = batches(
        "train",
        slices=arguments.batch,
        batch=arguments.batch,
        matrix=arguments.matrix,
        dimensions=arguments.dimensions,
    )
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    gc.collect()
    before = start_peak()
    for _ in range(3):
        learner.step(*data[0])
    grown = peak() - before
    state = sum(
        value.numel() * value.element_size()
        for optimiser in learner.optimisers
        for one in optimiser.state.values()
        for value in one.values()
        if isinstance(value, Tensor)
    )
    gradients = sum(p.grad.numel() * p.grad.element_size() for p in network.parameters() if p.grad is not None)
    return {
        "stored": stored(learner, data[0]) / 2**20,
        "working": (grown - gradients - state) / 2**20,
        "weights": weights / 2**20,
        "gradients_and_state": (gradients + state) / 2**20,
    }


def learn(rank: int, arguments: argparse.Namespace, folder: str) -> None:
    """Greedy learning with each process its share of the modules, several times; writes seconds and weights."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=arguments.processes)
    data = batches(
        "train",
        slices=8 * arguments.batch,
        batch=arguments.batch,
        matrix=arguments.matrix,
        dimensions=arguments.dimensions,
    )
    seconds: dict[str, list[float]] = {"one": [], "several": []}
    found: dict[str, Tensor] = {}
    for turn in range(arguments.turns + 1):
        for way in seconds:
            # in a group, what a method learns by is shared out
            network, learner = make(arguments, unrolls=arguments.processes_unrolls, mode="greedy")
            alone = learner.learner if isinstance(learner, PipelinedLearner) else learner
            dist.barrier()
            began = time.perf_counter()
            if way == "several":
                losses = [float(learner.step(*batch)[1]) for batch in data]
                learner.complete(losses)
            elif rank == 0:
                for batch in data:
                    alone.step(*batch)
            dist.barrier()
            if turn:  # the first warms up
                seconds[way].append(time.perf_counter() - began)
            found[way] = torch.cat([p.detach().flatten() for p in network.parameters()])
    if rank == 0:
        same = torch.equal(found["one"], found["several"])
        result = {way: statistics.median(values) for way, values in seconds.items()} | {"same": same}
        Path(folder, "result.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def measure_processes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of eight batches in one process and in several, and whether the weights are the same."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(learn, args=(arguments, folder), nprocs=arguments.processes)
        result: dict[str, Any] = json.loads(Path(folder, "result.json").read_text())
    speed = result["one"] / result["several"]
    print(
        f"{arguments.processes_unrolls} unrolls, {arguments.processes} processes: {speed:.2f} times as fast as one "
        f"({result['several']:.2f} s and {result['one']:.2f} s for eight batches), "
        f"weights {'the same to the bit' if result['same'] else 'DIFFER'}"
    )
    return result | {"speed": speed}


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """What the table says of greedy learning: growth of its memory, and its speed at no more memory."""
    found = {(row["mode"], row["unrolls"]): row for row in rows}
    numbers = sorted({unrolls for _, unrolls in found})
    lines = []
    if ("greedy", numbers[0]) in found and len(numbers) > 1:
        few, many = (found["greedy", number] for number in (numbers[0], numbers[-1]))
        growth = {what: 100 * (many[what] / few[what] - 1) for what in ("stored", "working")}
        more = many["gradients_and_state"] - few["gradients_and_state"]
        lines.append(
            f"greedy, {numbers[0]} to {numbers[-1]} unrolls: stored {growth['stored']:+.1f} %, working memory "
            f"{growth['working']:+.1f} %; {more:.1f} MiB more of gradients and optimiser state"
        )
    for other in ("checkpointing", "invertible"):
        both = [(found[other, n], found["greedy", n]) for n in numbers if {(other, n), ("greedy", n)} <= found.keys()]
        if both:
            speed = ", ".join(f"{a['seconds'] / b['seconds']:.2f}" for a, b in both)
            lines.append(f"greedy is {speed} times as fast a step as {other} (by number of unrolls)")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--method", choices=list(METHODS), default="proximal_gradient")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--module", type=int, default=1, help="unrolls of a greedy module")
    parser.add_argument("--numbers", type=int, nargs="+", default=[4, 8, 16, 24])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--matrix", type=int, default=96)
    parser.add_argument("--dimensions", type=int, choices=[2, 3], default=2, help="3: volumes of eight slices")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--processes", type=int, default=2, help="for greedy learning side by side; 1 leaves it out")
    parser.add_argument("--processes-unrolls", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5, help="of one process and several")
    parser.add_argument("--steps", type=int, default=5, help="that are timed")
    parser.add_argument("--train-steps", type=int, default=0, help="after which PSNR is measured")
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--unrolls", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.mode:
        print(json.dumps(measure_memory(arguments)))
        return
    rows = []
    size: dict[str, Any] = {"matrix": arguments.matrix, "dimensions": arguments.dimensions}
    training = batches("train", slices=8 * arguments.batch, batch=arguments.batch, **size)
    test = batches("test", slices=8, batch=4, **size)
    print(
        f"{'unrolls':>7} {'mode':<14} {'stored MiB':>10} {'working MiB':>11} {'state MiB':>9} {'step s':>7} {'PSNR':>6}"
    )
    for unrolls in arguments.numbers:
        made = {mode: make(arguments, unrolls=unrolls, mode=mode) for mode in arguments.modes}
        seconds: dict[str, list[float]] = {mode: [] for mode in arguments.modes}
        for step in range(arguments.steps + 1):
            for mode, (_, learner) in made.items():
                began = time.perf_counter()
                _, loss = learner.step(*training[step % len(training)])
                float(loss)  # waits for a GPU
                seconds[mode].append(time.perf_counter() - began)
        for step in range(arguments.steps + 1, arguments.train_steps):
            for _, learner in made.values():
                learner.step(*training[step % len(training)])
        for mode, (network, _) in made.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--unrolls", str(unrolls), "--mode", mode]
            # the allocator gives memory back at once, so that the peak is what is in use
            given_back = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
            measured = subprocess.run(command, check=True, capture_output=True, text=True, env=given_back)
            memory = json.loads(measured.stdout)
            row = {"unrolls": unrolls, "mode": mode, **memory, "seconds": statistics.median(seconds[mode][1:])}
            row["psnr"] = psnr(network, test)
            rows.append(row)
            print(
                f"{unrolls:>7} {mode:<14} {row['stored']:>10.1f} {row['working']:>11.1f} "
                f"{row['gradients_and_state']:>9.1f} {row['seconds']:>7.3f} {row['psnr']:>6.2f}",
                flush=True,
            )
    for line in verdicts(rows):
        print(line)
    side_by_side = measure_processes(arguments) if arguments.processes > 1 else None
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        content = {"arguments": vars(arguments) | {"json": None}, "rows": rows, "processes": side_by_side}
        arguments.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
