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

import torch
from torch import Tensor

from scanproof.data.demo.generator import demo_cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.physics.fft import image_to_kspace, kspace_to_image
from scanproof.reconstruction.cg_sense import CgSense
from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
from scanproof.reconstruction.untrained.fitting import fit
from scanproof.reconstruction.untrained.measurements import Measurements
from scanproof.reconstruction.untrained.options import FitOptions
from scanproof.reconstruction.untrained.presets import CONV_DECODER
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
    sampling = Sampling(mask="random", acceleration=4, center_fraction=0.08)
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
        if float(loss) < lowest:
            lowest, best = float(loss), copy.deepcopy(network.state_dict())
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


def ours(sample: Sample, options: FitOptions, *, ensemble: int) -> list[Point]:
    """This package's default fit; the last point is what it gives when it has stopped."""
    kspace, maps = sample[KSPACE][None], sample[SENSITIVITIES][None]
    points: list[Point] = []
    spent = 0.0
    began = time.process_time()
    measurements = Measurements(
        kspace, sample[MASK], maps, loss=options.loss, held_out=options.held_out, amplitude=options.amplitude or 1.0
    )

    def look(step: FitStep) -> None:
        nonlocal spent
        seconds = time.process_time() - began - spent
        points.append(Point(step.step, seconds, judge(step.images)))
        spent = time.process_time() - began - seconds

    def judge(image: Tensor) -> float:
        return psnr(measurements.finish(image, consistency=options.consistency)[0].abs(), sample[REFERENCE])

    def build(members: int) -> ConvDecoderNetwork:
        return ConvDecoderNetwork(output_channels=2, output_size=MATRIX, members=members)

    seeds = tuple(range(ensemble))
    fits = fit(build, measurements, options=options, seeds=seeds, progress=look if ensemble == 1 else None)
    image = torch.stack([one.image for one in fits]).mean(dim=0, keepdim=True)
    seconds = time.process_time() - began - spent
    return [*points, Point(sum(one.steps for one in fits), seconds, judge(image))]


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
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    methods = {
        "default": (FitOptions(), 1),
        "default, float32": (FitOptions(precision="float32"), 1),
        "default, squared error": (FitOptions(loss="mse"), 1),
        "default, 3 seeds": (FitOptions(), 3),
    }
    rows = []
    for number, sample in enumerate(slices(arguments.slices)):
        steps = arguments.published_iterations
        least_squares = psnr(CgSense()(sample[KSPACE], sample[MASK], sample[SENSITIVITIES]), sample[REFERENCE])
        found = {"published": published(sample, preset=arguments.preset, steps=steps, every=max(1, steps // 40))}
        for name, (options, ensemble) in methods.items():
            found[name] = ours(sample, options, ensemble=ensemble)
        reference = found["published"][-1]
        best = max(found["published"], key=lambda point: point.psnr)
        print(f"slice {number}: CG-SENSE {least_squares:.2f} dB, published at its best step {best.psnr:.2f} dB")
        print(f"  {'fit':<24} {'steps':>6} {'seconds':>8} {'PSNR':>6} {'seconds to published PSNR':>26} {'ratio':>7}")
        for name, points in found.items():
            last, equal = points[-1], reach(points, reference.psnr)
            told = "never" if equal is None else f"{equal.seconds:.2f}"
            ratio = "" if equal is None else f"{reference.seconds / equal.seconds:.1f}x"
            print(f"  {name:<24} {last.step:>6} {last.seconds:>8.1f} {last.psnr:>6.2f} {told:>26} {ratio:>7}")
            rows.append(
                {"slice": number, "fit": name, "cg_sense": least_squares, "points": [asdict(p) for p in points]}
            )
        together = [point for point in found["published"] if point.seconds <= found["default"][-1].seconds]
        if together:
            print(f"  published after as long as the default takes: {together[-1].psnr:.2f} dB")
    finals = [(row["points"][-1]["psnr"], row["fit"]) for row in rows]
    for name in ("published", *methods):
        print(f"mean PSNR, {name}: {statistics.mean(value for value, fit_name in finals if fit_name == name):.2f} dB")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"preset": arguments.preset, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
