"""Un-trained reconstruction: this package's fit against the published procedure, on the same slices, in turn.

The published procedure is written out plainly below: one slice at a time, float32, a fixed number of steps of Adam on
the squared error of all samples, the network of the lowest loss, measured samples put back. Its numbers of steps are
20,000 and more; fewer are a lower bound of its time, and of its quality where that still rises.

Times are processor seconds of one thread, which other programs on the machine disturb little:

    python tests/benchmarks/bench_untrained.py --json build/bench/untrained.json
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from scanproof.data.demo.generator import demo_cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
from scanproof.reconstruction.untrained.measurements import Measurements
from scanproof.reconstruction.untrained.presets import CONV_DECODER
from scanproof.reconstruction.untrained.reconstructors import ConvDecoder
from scanproof.reconstruction.untrained.run import FitStep
from scanproof.study.acquire import AcquiredCohort, Sampling

Sample = Mapping[str, Tensor]
MATRIX = (96, 80)


@dataclass
class Point:
    """Where a fit stands: steps, processor seconds, PSNR of what it would give."""

    step: int
    seconds: float
    psnr: float


def slices(count: int) -> list[Sample]:
    """Slices of a demo site, eight coils, every fourth line at random."""
    cohort = demo_cohort("north", subjects={"test": count}, slices=1, matrix=MATRIX, seed=1)
    sampling = Sampling(mask="random", acceleration=4, center_fraction=0.1)
    return AcquiredCohort(cohort, sampling=sampling, seed=1)[:count]


def psnr(image: Tensor, reference: Tensor) -> float:
    return float(20 * torch.log10(reference.max() / (image - reference).square().mean().sqrt()))


def published(sample: Sample, *, preset: str, steps: int, every: int) -> list[Point]:
    """The published procedure."""
    options = CONV_DECODER[preset]
    coilwise = options["output"] == "coils"
    kspace, mask, maps = sample[KSPACE], sample[MASK], sample[SENSITIVITIES]
    network = ConvDecoderNetwork(
        output_channels=2 * (len(kspace) if coilwise else 1),
        output_size=MATRIX,
        **{name: options[name] for name in ("channels", "layers", "input_size", "bias") if name in options},
    )
    network.initialise([0])
    optimiser = torch.optim.Adam(network.parameters(), lr=options["learning_rate"])

    def coils() -> Tensor:
        pairs = network()[0].unflatten(0, (-1, 2))
        images = torch.complex(pairs[:, 0], pairs[:, 1])
        return images if coilwise else maps * images

    with torch.no_grad():
        scale = coils().norm() / kspace_to_image(kspace).norm()
    measured = kspace * scale
    points, lowest, best = [], float("inf"), copy.deepcopy(network.state_dict())
    began = time.process_time()
    spent = 0.0
    for step in range(1, steps + 1):
        optimiser.zero_grad()
        generated = coils()
        loss = torch.view_as_real(image_to_kspace(generated) * mask - measured).square().mean()
        loss.backward()
        if loss.item() < lowest:
            lowest, best = loss.item(), copy.deepcopy(network.state_dict())
        optimiser.step()
        if step % every == 0 or step == steps:
            seconds = time.process_time() - began - spent
            after = copy.deepcopy(network.state_dict())
            with torch.no_grad():
                network.load_state_dict(best)
                consistent = torch.where(mask, measured, image_to_kspace(coils()))
                image = (maps.conj() * kspace_to_image(consistent)).sum(dim=0, keepdim=True).abs() / scale
                network.load_state_dict(after)
            points.append(Point(step, seconds, psnr(image, sample[REFERENCE])))
            spent = time.process_time() - began - seconds
    return points


def ours(sample: Sample, method: ConvDecoder) -> list[Point]:
    """This package's fit; the last point is what it gives when it has stopped."""
    kspace, mask, maps = sample[KSPACE], sample[MASK], sample[SENSITIVITIES]
    options = method.options
    measurements = Measurements(
        kspace[None], mask, maps[None], output=method.output, loss=options.loss, held_out=options.held_out,
        amplitude=options.amplitude or 1.0,
    )  # fmt: skip
    points: list[Point] = []
    spent = 0.0

    def look(step: FitStep) -> None:
        nonlocal spent
        seconds = time.process_time() - began - spent
        image = measurements.finish(step.images, consistency=options.consistency)[0].abs()
        points.append(Point(step.step, seconds, psnr(image, sample[REFERENCE])))
        spent = time.process_time() - began - seconds

    method.progress = look if method.ensemble == 1 else None
    began = time.process_time()
    image = method(kspace, mask, maps)
    seconds = time.process_time() - began - spent
    return [*points, Point(sum(one.steps for one in method.fits), seconds, psnr(image, sample[REFERENCE]))]


def compare(name: str, one: list[float], other: list[float]) -> str:
    """A paired difference with its bootstrap interval; each slice is of another subject."""
    found = stats.bootstrap(
        (np.subtract(one, other),), np.mean, n_resamples=10_000, method="percentile", rng=1
    ).confidence_interval
    return f"{name}: {np.mean(np.subtract(one, other)):+.2f} dB ({found.low:+.2f} to {found.high:+.2f})"


def reach(points: list[Point], target: float) -> Point | None:
    """The first point with at least this PSNR."""
    return next((point for point in points if point.psnr >= target), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=2)
    parser.add_argument("--published-iterations", type=int, default=4000)
    parser.add_argument(
        "--preset", choices=[name for name in CONV_DECODER if name != "default"], default="published_brain"
    )
    parser.add_argument("--tuned", type=Path, help="file of a preset that was tuned")
    parser.add_argument("--only", action="append", help="name of a fit; may be given several times")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    methods: dict[str, dict[str, Any]] = {
        "default": {},
        "default, float32": {"precision": "float32"},
        "default, squared error": {"loss": "mse"},
        "default, 3 seeds": {"ensemble": 3},
        **({"tuned": {"preset": arguments.tuned}} if arguments.tuned else {}),
    }
    methods = {name: options for name, options in methods.items() if name in (arguments.only or methods)}
    rows = []
    final: dict[str, list[float]] = {name: [] for name in methods}
    within: dict[str, list[float]] = {name: [] for name in methods}
    ratios: dict[str, list[float]] = {name: [] for name in methods}
    for number, sample in enumerate(slices(arguments.slices)):
        steps = arguments.published_iterations
        least_squares = psnr(CgSense()(sample[KSPACE], sample[MASK], sample[SENSITIVITIES]), sample[REFERENCE])
        found = {"published": published(sample, preset=arguments.preset, steps=steps, every=max(1, steps // 80))}
        for name, options in methods.items():
            found[name] = ours(sample, ConvDecoder(**options))
        reference = found["published"][-1]
        best = max(found["published"], key=lambda point: point.psnr)
        print(f"slice {number}: CG-SENSE {least_squares:.2f} dB, published at its best step {best.psnr:.2f} dB")
        print(f"  {'fit':<24} {'steps':>6} {'seconds':>8} {'PSNR':>6} {'seconds to published PSNR':>26} {'ratio':>7}")
        for name, points in found.items():
            last, equal = points[-1], reach(points, reference.psnr)
            told = "never" if equal is None else f"{equal.seconds:.2f}"
            ratio = "" if equal is None else f"{reference.seconds / equal.seconds:.1f}x"
            print(
                f"  {name:<24} {last.step:>6} {last.seconds:>8.1f} {last.psnr:>6.2f} {told:>26} {ratio:>7}", flush=True
            )
            rows.append(
                {"slice": number, "fit": name, "cg_sense": least_squares, "points": [asdict(p) for p in points]}
            )
            if name in methods:
                final[name].append(last.psnr)
                ratios[name].append(0.0 if equal is None else reference.seconds / equal.seconds)
                reached = [point for point in found["published"] if point.seconds <= last.seconds]
                within[name].append((reached or found["published"][:1])[-1].psnr)
    ends = [row["points"][-1] for row in rows if row["fit"] == "published"]
    print(f"published, {steps} steps: {statistics.mean(end['psnr'] for end in ends):.2f} dB")
    for name in methods:
        seconds = statistics.mean(row["points"][-1]["seconds"] for row in rows if row["fit"] == name)
        print(f"{name}: {statistics.mean(final[name]):.2f} dB in {seconds:.1f} s; "
              f"median ratio of times to the published PSNR {statistics.median(ratios[name]):.1f}x")  # fmt: skip
        if arguments.slices > 1:
            print(compare("  against the published procedure, whole", final[name], [end["psnr"] for end in ends]))
            print(compare("  against the published procedure in the same time", final[name], within[name]))
            if "default" in methods and name != "default":
                print(compare("  against the default", final[name], final["default"]))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"preset": arguments.preset, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
