"""The artifacts against those of TorchIO and MONAI: time and memory at equal work.

Times are medians of calls that take turns in one run; memory is what one call adds to the peak of a fresh process:

    python tests/benchmarks/bench_transforms.py --json build/bench/transforms.json

Two inputs: a volume (the MNI152 head, 1 mm, magnitude, float32), and 15 coils of a slice, 320 x 320. The others take no
k-space: they get the magnitude images of the coils as channels, and so does ours for the comparison. Ours on the
complex k-space of the coils, which is what it is made for, stands beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scanproof.transforms import SHIFTS

SEVERITY = 3
CASES = {"volume": "3D 197 x 233 x 189, magnitude", "coils": "2D 320 x 320, 15 coils"}
Call = Callable[[], object]
Factory = Callable[[Mapping[str, float]], Callable[[torch.Tensor], object]]


@dataclass(frozen=True)
class Rival:
    """What another library has for a shift.

    Args:
        library: ``"TorchIO"`` or ``"MONAI"``.
        name: of the class.
        build: makes the transform from the physical parameters of our severity 3, for equal work.
        differs: where what it does is something else.
    """

    library: str
    name: str
    build: Factory
    differs: str


def torchio(name: str, **options: Callable[[Mapping[str, float]], object]) -> Factory:
    def build(physical: Mapping[str, float]) -> Callable[[torch.Tensor], object]:
        import torchio as tio

        transform = getattr(tio, name)(**{key: value(physical) for key, value in options.items()})
        # a slice is a volume of depth one
        return lambda x: transform(x if x.ndim == 4 else x[..., None])

    return build


def monai(name: str, **options: Callable[[Mapping[str, float]], object]) -> Factory:
    def build(physical: Mapping[str, float]) -> Callable[[torch.Tensor], object]:
        import monai.transforms

        return getattr(monai.transforms, name)(**{key: value(physical) for key, value in options.items()})

    return build


def poses(size: str) -> Callable[[Mapping[str, float]], object]:
    return lambda p: np.random.default_rng(0).uniform(-p[size], p[size], (int(p["events"]), 3))


def sure(_: Mapping[str, float]) -> float:
    return 1.0


def low_resolution(physical: Mapping[str, float]) -> Callable[[torch.Tensor], object]:
    import monai.transforms

    zoom = (1 / physical["factor"],) * 2
    # its default interpolation is that of volumes
    plane, volume = (
        monai.transforms.RandSimulateLowResolution(prob=1.0, zoom_range=zoom, upsample_mode=mode)
        for mode in ("bilinear", "trilinear")
    )
    return lambda x: (volume if x.ndim == 4 else plane)(x)


RIVALS: dict[str, list[Rival]] = {
    "bias_field": [
        Rival(
            "TorchIO",
            "BiasField",
            torchio(
                "BiasField",
                coefficients=lambda p: np.random.default_rng(0).uniform(-1, 1, 20).dot(p["coefficient"]).tolist(),
                order=lambda _: 3,
            ),
            "monomials; constant term",
        ),
        Rival(
            "MONAI",
            "RandBiasField",
            monai("RandBiasField", prob=sure, degree=lambda _: 3, coeff_range=lambda p: (0.0, p["coefficient"])),
            "constant term; all coefficients positive",
        ),
    ],
    "complex_noise": [
        Rival(
            "TorchIO",
            "Noise",
            torchio("Noise", mean=lambda _: 0.0, std=lambda p: 0.3 * p["level"], seed=lambda _: 0),
            "real noise, one number a voxel",
        ),
        Rival(
            "MONAI",
            "RandRicianNoise",
            monai(
                "RandRicianNoise",
                prob=sure,
                std=lambda p: p["level"],
                relative=lambda _: True,
                sample_std=lambda _: False,
            ),
            "no k-space",
        ),
    ],
    "gamma_down": [
        Rival("TorchIO", "Gamma", torchio("Gamma", gamma=lambda p: p["gamma"]), ""),
        Rival("MONAI", "AdjustContrast", monai("AdjustContrast", gamma=lambda p: p["gamma"]), ""),
    ],
    "gamma_up": [
        Rival("TorchIO", "Gamma", torchio("Gamma", gamma=lambda p: p["gamma"]), ""),
        Rival("MONAI", "AdjustContrast", monai("AdjustContrast", gamma=lambda p: p["gamma"]), ""),
    ],
    "ghosting": [
        Rival(
            "TorchIO",
            "Ghosting",
            torchio(
                "Ghosting",
                num_ghosts=lambda p: int(p["ghosts"]),
                axis=lambda _: 1,
                intensity=lambda p: p["intensity"],
                restore=lambda _: 0.02,
            ),
            "real part; comb from the edge",
        )
    ],
    "gibbs_ringing": [
        Rival("MONAI", "GibbsNoise", monai("GibbsNoise", alpha=lambda p: 1 - p["kept"]), "disc of k-space; real part"),
    ],
    "intensity_down": [
        Rival(
            "MONAI",
            "ScaleIntensity",
            monai("ScaleIntensity", minv=lambda _: None, maxv=lambda _: None, factor=lambda p: p["factor"] - 1),
            "",
        ),
    ],
    "intensity_up": [
        Rival(
            "MONAI",
            "ScaleIntensity",
            monai("ScaleIntensity", minv=lambda _: None, maxv=lambda _: None, factor=lambda p: p["factor"] - 1),
            "",
        ),
    ],
    "resolution_loss": [
        Rival(
            "TorchIO",
            "Blur",
            torchio("Blur", std=lambda p: (p["factor"] / 2.355,) * 3),
            "a Gaussian as wide as our voxel",
        ),
        Rival(
            "MONAI",
            "RandSimulateLowResolution",
            low_resolution,
            "nearest voxels, interpolated",
        ),
    ],
    "rigid_motion": [
        Rival(
            "TorchIO",
            "Motion",
            torchio(
                "Motion",
                degrees=poses("rotation"),
                translation=poses("translation"),
                times=lambda p: (np.arange(int(p["events"])) + 1) / (p["events"] + 1),
                image_interpolation=lambda _: "linear",
            ),
            "interpolates images; real part; slices too turn in 3D",
        )
    ],
    "slice_thickness": [
        Rival(
            "TorchIO",
            "RandomAnisotropy",
            torchio("RandomAnisotropy", axes=lambda _: (2,), downsampling=lambda p: p["factor"]),
            "voxels are skipped, not averaged",
        )
    ],
    "spike": [
        Rival(
            "TorchIO",
            "Spike",
            torchio(
                "Spike",
                spikes_positions=lambda _: np.array([[0.6, 0.6, 0.5]]),
                intensity=lambda p: p["intensity"],
            ),
            "real part",
        ),
        Rival(
            "MONAI",
            "KSpaceSpikeNoise",
            monai("KSpaceSpikeNoise", loc=lambda _: (0, 50, 50), k_intensity=lambda _: 10.0),
            "logarithmic intensity; slices only",
        ),
    ],
}


def inputs(case: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Magnitude images for all, and for ours alone k-space (of a volume, again the images)."""
    from nilearn.datasets import load_mni152_template

    from scanproof.physics.coils import birdcage_sensitivities
    from scanproof.physics.fft import kspace_to_image
    from scanproof.physics.simulate import synthetic_kspace

    volume = torch.from_numpy(load_mni152_template(resolution=1).get_fdata(dtype="float32"))[None].clamp(min=0)
    volume /= volume.max()
    if case == "volume":
        return volume, volume
    slices = torch.nn.functional.pad(volume[..., 90], (43, 44, 61, 62))
    kspace = synthetic_kspace(slices, birdcage_sensitivities(15, (320, 320)), generator=torch.Generator())
    return kspace_to_image(kspace).abs(), kspace


def calls(case: str, name: str, images: torch.Tensor, kspace: torch.Tensor) -> Iterator[tuple[str, Call]]:
    """One call for every library that has something for the shift and this input."""
    shift = SHIFTS.create(name, {"severity": SEVERITY})
    if images.ndim - 1 not in shift.dimensions:
        return
    yield "ours", lambda: shift(images)
    if case == "coils":
        yield "k-space", lambda: shift(kspace)
    for rival in RIVALS.get(name, []):
        if rival.name == "KSpaceSpikeNoise" and case == "volume":
            continue
        transform = rival.build(shift.parameters)
        # TorchIO has no other device
        x = images.cpu() if rival.library == "TorchIO" else images
        yield rival.library, lambda transform=transform, x=x: transform(x)


def interleaved(actions: dict[str, Call], rounds: int, settle: Call) -> dict[str, float]:
    """Median seconds of each action, taken in turn, after one turn that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 1):
        for name, action in actions.items():
            settle()
            began = time.perf_counter()
            action()
            settle()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peak() -> float:
    """Highest resident memory of this program so far, MB.

    Not ``ru_maxrss``: on Linux a process inherits that of the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists() and "VmHWM:" in (text := status.read_text()):
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def memory_of_one_call(case: str, name: str, library: str, folder: Path) -> float:
    """MB that a call adds to the peak of a process that has imported everything and holds the input, run in one."""
    images, kspace = (torch.from_numpy(np.load(folder / f"{case}-{kind}.npy")) for kind in ("images", "kspace"))
    action = dict(calls(case, name, images, kspace))[library]
    # once on a corner, so that what is imported or planned in the first call does not count
    corner = (..., *[slice(0, 64)] * (images.ndim - 1))
    dict(calls(case, name, images[corner].contiguous(), kspace[corner].contiguous()))[library]()
    before = peak()
    action()
    return peak() - before


def measured_memory(case: str, name: str, library: str, folder: Path, threads: int) -> float:
    arguments = ["--child", case, name, library, str(folder), "--threads", str(threads), "--json", "unused"]
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def available(only: list[str] | None) -> Iterator[str]:
    for name in sorted(SHIFTS):
        if only and name not in only:
            continue
        try:
            SHIFTS.factory(name)
        except ImportError as error:
            print(f"{name}: skipped, does not import: {error}")
            continue
        yield name


def use_threads(threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        import SimpleITK
    except ImportError:
        return
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def bench(options: argparse.Namespace) -> dict[str, object]:
    cuda = options.device != "cpu"
    settle: Call = torch.cuda.synchronize if cuda else lambda: None
    table: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    print(f"{'input':<8} {'artifact':<20} {'library':<8} {'median':>11} {'ratio':>7} {'memory':>9}  differs")
    with tempfile.TemporaryDirectory() as scratch:
        for case in options.cases:
            images, kspace = inputs(case)
            np.save(Path(scratch) / f"{case}-images.npy", images)
            np.save(Path(scratch) / f"{case}-kspace.npy", kspace)
            images, kspace = images.to(options.device), kspace.to(options.device)
            for name in available(options.only):
                actions = dict(calls(case, name, images, kspace))
                if not actions:
                    continue
                seconds = interleaved(actions, options.rounds, settle)
                rows = {library: {"seconds": value} for library, value in seconds.items()}
                differs = {rival.library: f"{rival.name}: {rival.differs}" for rival in RIVALS.get(name, [])}
                for library, row in rows.items():
                    if not cuda and not options.no_memory:
                        row["memory_mb"] = measured_memory(case, name, library, Path(scratch), options.threads)
                    ratio = row["seconds"] / rows["ours"]["seconds"]
                    memory = f"{row['memory_mb']:>6.0f} MB" if "memory_mb" in row else f"{'':>9}"
                    shown = differs.get(library, "")
                    print(
                        f"{case:<8} {name:<20} {library:<8} {1000 * row['seconds']:>8.1f} ms {ratio:>6.2f}x {memory}  "
                        f"{shown}",
                        flush=True,
                    )
                table.setdefault(case, {})[name] = rows
    return {
        "inputs": CASES,
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "threads": options.threads,
        "rounds": options.rounds,
        "severity": SEVERITY,
        "differs": {
            name: {rival.library: f"{rival.name}: {rival.differs}" for rival in rivals}
            for name, rivals in RIVALS.items()
        },
        "measured": table,
        "summary": summary(table),
    }


def summary(table: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> dict[str, dict[str, float]]:
    """How many times slower the others are, and how much more memory they take, over what we share with them."""
    result = {}
    for case, shifts in table.items():
        for library in ("TorchIO", "MONAI"):
            shared = {name: rows for name, rows in shifts.items() if library in rows}
            if not shared:
                continue
            ratios = {name: rows[library]["seconds"] / rows["ours"]["seconds"] for name, rows in shared.items()}
            worst = min(ratios, key=lambda name: ratios[name])
            result[f"{case}, {library}"] = {"median": statistics.median(ratios.values()), "least": ratios[worst]}
            line = f"{case}, {library}: median {statistics.median(ratios.values()):.2f}x, least {ratios[worst]:.2f}x"
            more = [
                name
                for name, rows in shared.items()
                if rows["ours"].get("memory_mb", 0) > rows[library].get("memory_mb", 0)
            ]
            print(f"{line} ({worst}); more memory in ours: {', '.join(more) or 'none'}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", action="append", metavar="NAME", help="a shift; may be given several times")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--no-memory", action="store_true", help="times alone")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # what the others warn of is not measured here
    warnings.simplefilter("ignore")
    use_threads(options.threads)
    if options.child:
        case, name, library, folder = options.child
        print(memory_of_one_call(case, name, library, Path(folder)))
        return
    result = bench(options)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    if "OMP_WAIT_POLICY" not in os.environ:
        # Threads that spin while they wait take the processor from those they wait for, once something else runs on
        # the machine: that made single steps ten times slower. It must be known before the thread pool starts.
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.execv(sys.executable, [sys.executable, *sys.argv])  # noqa: S606 - this very program again
    main()
