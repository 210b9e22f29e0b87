"""The methods of a finished study on k-space that a scanner measured.

A fully sampled acquisition is undersampled afterwards, so that there is a reference; one that was undersampled by the
scanner is only pictured. Coil sensitivities are ESPIRiT's from the sampled centre, for the reference from the whole
acquisition. Networks are those that the study has trained, on whatever it trained them.

    python studies/real_kspace.py studies/untrained_vs_trained.yaml --full phantom.npy -o results
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from scanproof.evaluation.image_metrics import image_metrics
from scanproof.physics.espirit import espirit_sensitivities
from scanproof.physics.fft import kspace_to_image
from scanproof.physics.masks import cartesian_mask
from scanproof.reconstruction import RECONSTRUCTORS
from scanproof.reconstruction.base import Reconstructor
from scanproof.study.definition import Study
from scanproof.study.load import load_study
from scanproof.study.run import Workspace, plan_study

METRICS = ("psnr", "ssim", "nrmse", "ms_ssim", "vif")


def methods(study: Study, root: Path) -> dict[str, Reconstructor]:
    """The study's methods, the trained ones with the weights that the study has found."""
    workspace = Workspace(root=root)
    networks = plan_study(study, workspace).networks
    found = {}
    for plan in study.reconstruction:
        method = RECONSTRUCTORS.create(plan.method, study.options_of(plan))
        if method.trainable:
            weights = workspace.store.get(networks[plan.name, study.acquisition.accelerations[0]].key).arrays
            method.load({name: torch.from_numpy(array) for name, array in weights.items()})
        found[plan.name] = method
    return found


def read(path: Path) -> Tensor:
    """Complex64 ``(coil, readout, line)`` in units of its largest sample; files hold ``(coil, line, readout)``."""
    kspace = torch.from_numpy(np.load(path)).to(torch.complex64).transpose(-1, -2).contiguous()
    return kspace / kspace.abs().max()


def undersample(
    path: Path, found: dict[str, Reconstructor], *, samplings: Sequence[tuple[float, float]], draws: int
) -> tuple[pd.DataFrame, dict[str, Tensor]]:
    """Metrics of each method on lines that were left out afterwards, and its images of a draw of the last one."""
    full = read(path)
    everything = torch.ones(1, 1, full.shape[-1], dtype=torch.bool)
    maps = espirit_sensitivities(full, everything)
    reference = (maps.conj() * kspace_to_image(full)).sum(dim=0, keepdim=True).abs()
    rows, images = [], {"reference": reference[0]}
    for acceleration, center in samplings:
        for seed in range(draws):
            mask = cartesian_mask(
                full.shape[-1], kind="random", acceleration=acceleration, center_fraction=center, seed=seed
            )
            kspace = full * mask
            sensitivities = espirit_sensitivities(kspace, mask)
            for name, method in found.items():
                began = time.process_time()
                image = method(kspace, mask, sensitivities)
                seconds = time.process_time() - began
                values = image_metrics(image[None], reference[None], metrics=METRICS)
                rows.append(
                    {"acceleration": acceleration, "draw": seed, "reconstruction": name}
                    | {metric: float(value[0]) for metric, value in values.items()}
                    | {"seconds": seconds}
                )
                print(rows[-1], flush=True)
                if (acceleration, center) == samplings[-1] and seed == 0:
                    images[name] = image[0]
    return pd.DataFrame(rows), images


def reconstruct(path: Path, found: dict[str, Reconstructor]) -> dict[str, Tensor]:
    """Images of an acquisition that was undersampled by the scanner."""
    kspace = read(path)
    mask = (kspace.abs().sum(dim=0, keepdim=True) > 0).expand_as(kspace)
    maps = espirit_sensitivities(kspace, mask)
    return {name: method(kspace, mask, maps)[0] for name, method in found.items()}


def draw(images: dict[str, Tensor], path: Path) -> None:
    """One row of images in one grey scale."""
    from matplotlib.figure import Figure

    names = list(images)
    across = (len(names) + 1) // 2
    figure = Figure(figsize=(2.3 * across, 5.0), layout="constrained")
    top = float(torch.quantile(images[names[0]].flatten(), 0.997))
    for place, axes in zip(range(2 * across), figure.subplots(2, across).flat, strict=True):
        axes.axis("off")
        if place < len(names):
            axes.imshow(images[names[place]].T, cmap="gray", vmin=0, vmax=top)
            axes.set_title(names[place].replace("_", " "), fontsize=9)
    figure.savefig(path, dpi=90)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="study file; it must have been run")
    parser.add_argument("--full", type=Path, help="fully sampled k-space, .npy (coil, line, readout)")
    parser.add_argument("--undersampled", type=Path, help="k-space with zeros where nothing was sampled, likewise")
    parser.add_argument(
        "--sampling",
        type=float,
        nargs=2,
        action="append",
        metavar=("R", "CENTRE"),
        help="acceleration and share of fully sampled lines; may be given again; default 2 0.16 and 4 0.1",
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this method; may be given again")
    parser.add_argument("--draws", type=int, default=2, help="sampling masks for each acceleration")
    parser.add_argument("--root", type=Path, default=Path("mlruns"), help="where the study was run")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = methods(load_study(arguments.study), arguments.root)
    found = {name: method for name, method in found.items() if not arguments.only or name in arguments.only}
    samplings = [(r, centre) for r, centre in arguments.sampling or ((2, 0.16), (4, 0.1))]
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.full:
        table, images = undersample(arguments.full, found, samplings=samplings, draws=arguments.draws)
        table.to_csv(arguments.output / "real_kspace.csv", index=False, float_format="%.4g")
        draw(images, arguments.output / "real_kspace_full.png")
        print(table.groupby(["acceleration", "reconstruction"], sort=False).mean().drop(columns="draw").round(3))
    if arguments.undersampled:
        draw(reconstruct(arguments.undersampled, found), arguments.output / "real_kspace_undersampled.png")


if __name__ == "__main__":
    main()
