"""Strength, quality and time of the classical compressed-sensing reconstructions on the demo cohort.

``tune`` shows how the default strengths were chosen, on validation slices of site north at acceleration 4 and three
noise levels; ``compare`` sets the methods beside zero filling and CG-SENSE, on test slices:

    python tests/benchmarks/bench_compressed_sensing.py tune
    python tests/benchmarks/bench_compressed_sensing.py compare
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch

from scanproof.data.demo.generator import demo_cohort
from scanproof.data.keys import KSPACE, MASK, REFERENCE, SENSITIVITIES
from scanproof.evaluation.image_metrics import image_metrics
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.reconstruction.base import Reconstructor
from scanproof.study.acquire import AcquiredCohort, Sampling, collate

STRENGTHS = (0.15, 0.25, 0.35, 0.45, 0.6, 0.8, 1.1)
MASKS: tuple[Literal["random", "equispaced"], ...] = ("random", "equispaced")


def slices(
    split: str, *, mask: Literal["random", "equispaced"], acceleration: float, snr: float, matrix: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """One slice of each of eight subjects of site north."""
    cohort = demo_cohort("north", subjects={split: 8}, slices=1, matrix=matrix, seed=2024)
    noisy = replace(cohort, acquisition=replace(cohort.acquisition, snr=snr))
    center = 0.08 if acceleration <= 4 else 0.04
    sampling = Sampling(mask=mask, acceleration=acceleration, center_fraction=center)
    return collate(AcquiredCohort(noisy, sampling=sampling, seed=1)[:])


def measure(method: Reconstructor, data: dict[str, torch.Tensor]) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM, and seconds of processor time a slice."""
    began = time.process_time()
    images = method(data[KSPACE], data[MASK], data[SENSITIVITIES])
    seconds = (time.process_time() - began) / len(images)
    quality = image_metrics(images, data[REFERENCE])
    return {"psnr": quality["psnr"].mean(), "ssim": quality["ssim"].mean(), "seconds": seconds}


def tune() -> Iterator[str]:
    yield "method, mask, signal-to-noise ratio: PSNR/SSIM for each strength " + ", ".join(map(str, STRENGTHS))
    for name in ("cs_tv", "cs_wavelet"):
        for snr in (50.0, 25.0, 12.5):
            for mask in MASKS:
                data = slices("val", mask=mask, acceleration=4, snr=snr, matrix=(96, 80))
                found = [measure(RECONSTRUCTORS.create(name, {"regularisation": s}), data) for s in STRENGTHS]
                yield f"{name:10} {mask:10} {snr:4g} " + "  ".join(f"{f['psnr']:5.2f}/{f['ssim']:.3f}" for f in found)


def compare() -> Iterator[str]:
    methods = ("zero_filled", "cg_sense", "cs_wavelet", "cs_tv")
    yield f"{'matrix':10} {'mask':10} {'R':>2} " + " ".join(f"{name:>19}" for name in methods) + "  dB/SSIM, ms a slice"
    for matrix in ((96, 80), (160, 144)):
        for mask in MASKS:
            for acceleration in (2, 4, 8):
                data = slices("test", mask=mask, acceleration=acceleration, snr=50.0, matrix=matrix)
                found = [measure(RECONSTRUCTORS.create(name), data) for name in methods]
                cells = (f"{f['psnr']:5.2f}/{f['ssim']:.3f} {1000 * f['seconds']:5.1f}ms" for f in found)
                yield f"{matrix[0]:3} x {matrix[1]:3}  {mask:10} {acceleration:2} " + " ".join(cells)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["tune", "compare"])
    torch.set_num_threads(1)
    for line in {"tune": tune, "compare": compare}[parser.parse_args().what]():
        print(line, flush=True)


if __name__ == "__main__":
    main()
