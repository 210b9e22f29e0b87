"""Unrolled networks: memory, step time and quality of the training modes, for several numbers of unrolls.

Times are medians of steps that are taken in turn by all modes. Memory is measured in a process of its own for each
mode: bytes that autograd stores at a time (what checkpointing computes anew is not among them), and the peak of the
resident memory during steps above what it was before, which holds everything but the weights (Linux; the share of
gradients and of the optimiser's state is shown apart). PSNR is that of test slices after equal steps.

    python tests/benchmarks/bench_gleam.py --json build/bench/gleam.json
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scanproof.data.demo.generator import demo_cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.reconstruction.unrolled.greedy import GreedyLearner
from scanproof.reconstruction.unrolled.network import Acquired, UnrolledNetwork
from scanproof.reconstruction.unrolled.reconstructors import Modl, ProximalGradient
from scanproof.study.acquire import AcquiredCohort, Sampling

METHODS = {"proximal_gradient": ProximalGradient, "modl": Modl}
MODES = ("end_to_end", "checkpointing", "invertible", "greedy")


def batches(split: str, *, slices: int, batch: int, matrix: int) -> list[tuple[Acquired, Tensor]]:
    """Slices of a demo site, eight coils, every fourth line at random."""
    cohort = demo_cohort("north", subjects={split: slices}, slices=1, matrix=(matrix, matrix), seed=1)
    sampling = Sampling(mask="random", acceleration=4, center_fraction=0.08)
    samples = AcquiredCohort(cohort, sampling=sampling, seed=1)[:slices]
    groups = [samples[start : start + batch] for start in range(0, slices, batch)]
    return [
        (
            tuple(torch.stack([one[key] for one in group]) for key in (KSPACE, MASK, SENSITIVITIES)),
            torch.stack([one[REFERENCE] for one in group]),
        )
        for group in groups
    ]  # type: ignore[misc]


def make(arguments: argparse.Namespace, *, unrolls: int, mode: str) -> tuple[UnrolledNetwork, GreedyLearner]:
    """A network and what teaches it; equal weights for all modes."""
    torch.manual_seed(0)
    options: dict[str, Any] = {"unrolls": unrolls, "training": mode, "features": arguments.features}
    if mode == "greedy":
        options["modules"] = unrolls // arguments.module
    method = METHODS[arguments.method](learning_rate=arguments.learning_rate, **options)
    network = method.build()
    return network, GreedyLearner(network, method.options.optimiser, clip=method.options.clip)


def psnr(network: UnrolledNetwork, data: list[tuple[Acquired, Tensor]]) -> float:
    values = []
    with torch.no_grad():
        for acquired, reference in data:
            error = (network(acquired) - reference).square().mean(dim=(1, 2, 3)).sqrt()
            values += (20 * torch.log10(reference.amax(dim=(1, 2, 3)) / error)).tolist()
    return statistics.mean(values)


def stored(learner: GreedyLearner, data: tuple[Acquired, Tensor]) -> int:
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


def resident(what: str) -> int:
    """A line of what Linux knows about this process's memory, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{what}:")))


def measure_memory(arguments: argparse.Namespace) -> dict[str, float]:
    """Memory of one mode, in MiB; run in a process of its own."""
    network, learner = make(arguments, unrolls=arguments.unrolls, mode=arguments.mode)
    data = batches("train", slices=arguments.batch, batch=arguments.batch, matrix=arguments.matrix)
    weights = sum(p.numel() * p.element_size() for p in network.parameters())
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident("VmRSS")
    for _ in range(3):
        learner.step(*data[0])
    peak = resident("VmHWM")
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
        "grown": (peak - before) / 2**10,
        "weights": weights / 2**20,
        "gradients_and_state": (gradients + state) / 2**20,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--method", choices=list(METHODS), default="proximal_gradient")
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--module", type=int, default=1, help="unrolls of a greedy module")
    parser.add_argument("--numbers", type=int, nargs="+", default=[4, 8, 16, 24])
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--matrix", type=int, default=96)
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
    training = batches("train", slices=8 * arguments.batch, batch=arguments.batch, matrix=arguments.matrix)
    test = batches("test", slices=8, batch=4, matrix=arguments.matrix)
    print(f"{'unrolls':>7} {'mode':<14} {'stored MiB':>10} {'grown MiB':>9} {'state MiB':>9} {'step s':>7} {'PSNR':>6}")
    for unrolls in arguments.numbers:
        made = {mode: make(arguments, unrolls=unrolls, mode=mode) for mode in MODES}
        seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
        for step in range(arguments.steps + 1):
            for mode, (_, learner) in made.items():
                began = time.perf_counter()
                learner.step(*training[step % len(training)])
                seconds[mode].append(time.perf_counter() - began)
        for step in range(arguments.steps + 1, arguments.train_steps):
            for _, learner in made.values():
                learner.step(*training[step % len(training)])
        for mode, (network, _) in made.items():
            command = [sys.executable, __file__, *sys.argv[1:], "--unrolls", str(unrolls), "--mode", mode]
            memory = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            row = {"unrolls": unrolls, "mode": mode, **memory, "seconds": statistics.median(seconds[mode][1:])}
            row["psnr"] = psnr(network, test)
            rows.append(row)
            print(
                f"{unrolls:>7} {mode:<14} {row['stored']:>10.1f} {row['grown']:>9.1f} "
                f"{row['gradients_and_state']:>9.1f} {row['seconds']:>7.3f} {row['psnr']:>6.2f}",
                flush=True,
            )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"arguments": vars(arguments) | {"json": None}, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
