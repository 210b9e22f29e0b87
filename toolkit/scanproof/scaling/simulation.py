"""Sweeps whose law is known, to see what an analysis finds in them and how many trainings it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scanproof.evaluation.table import CLEAN
from scanproof.scaling.axes import axis
from scanproof.scaling.ladder import FloatArray, Ladder
from scanproof.scaling.table import checked_sweep
from scanproof.seeds import derive_seed

#: relative loss of a network whose width is off by a factor of two
_OFF = 0.1


@dataclass(frozen=True, kw_only=True)
class Simulated:
    """A sweep to simulate.

    Args:
        sizes: numbers of examples.
        error: of the mean squared error by number of examples, the truth.
        seeds: trainings of each network.
        subjects: of the test set, and as many of the validation set.
        slices: of each subject.
        training: standard deviation of the logarithm of the error between trainings.
        subject: the same between subjects, shared by all networks.
        case: the same between readings of a case.
        widths: of the networks; the best is the middle one.
        effort: CPU seconds of a training of one example and width 1.
    """

    sizes: Sequence[int]
    error: Callable[[FloatArray], FloatArray]
    seeds: int = 3
    subjects: int = 30
    slices: int = 2
    training: float = 0.02
    subject: float = 0.2
    case: float = 0.05
    widths: Sequence[int] = (8,)
    effort: float = 0.01


def simulated_sweep(design: Simulated, *, seed: int, task: str = "denoising") -> pd.DataFrame:
    """The table of a simulated sweep, with the metrics ``mse`` and ``psnr`` (of a maximum of 1).

    The error of a case is the truth times log-normal factors of mean 1 for its subject and for the reading, and one of
    median 1 for the training.

    Args:
        design: what to simulate.
        seed: of all randomness.
        task: its name.

    Example:
        >>> design = Simulated(sizes=(10, 100), error=lambda n: n**-0.5, subjects=3)
        >>> table = simulated_sweep(design, seed=0)
        >>> len(table), sorted(set(table["metric"]))
        (144, ['mse', 'psnr'])
    """
    values = _values(design, seed=seed, task=task)
    at = np.indices(values.shape).reshape(values.ndim, -1)
    splits = np.array(["val", "test"])[at[0]]
    examples, widths = np.asarray(design.sizes)[at[1]], np.asarray(design.widths)[at[2]]
    subjects = np.array([f"{split}-{i:03d}" for split in ("val", "test") for i in range(design.subjects)])
    subject = subjects[at[0] * design.subjects + at[4] // design.slices]
    rows = pd.DataFrame(
        {
            "study": "simulated",
            "task": task,
            "data": "simulated",
            "examples": examples,
            "width": widths,
            "parameters": 450 * widths**2,
            "seed": at[3],
            "split": splits,
            "shift": CLEAN,
            "severity": 0,
            "subject": subject,
            "case": np.char.add(np.char.add(subject, "-"), (at[4] % design.slices).astype(str)),
            "seconds": design.effort * examples * widths**2,
        }
    )
    error = values.ravel()
    both = [rows.assign(metric="mse", value=error), rows.assign(metric="psnr", value=-10 * np.log10(error))]
    return checked_sweep(pd.concat(both, ignore_index=True), name="simulated")


def simulated_ladder(design: Simulated, *, seed: int, task: str = "denoising") -> Ladder:
    """Mean squared errors of the best width in a simulated sweep, without the way through its table.

    Example:
        >>> design = Simulated(sizes=(10, 100), error=lambda n: n**-0.5, subjects=3)
        >>> simulated_ladder(design, seed=0).values[0].shape
        (3, 6)
    """
    tested = _values(design, seed=seed, task=task)[1, :, len(design.widths) // 2]
    subjects = [f"test-{i:03d}" for i in range(design.subjects)]
    return Ladder(
        axis=axis("mse"),
        sizes=np.asarray(design.sizes, np.float64),
        values=tuple(tested),
        subjects=np.repeat(np.array(subjects, object), design.slices),
    )


def _values(design: Simulated, *, seed: int, task: str) -> FloatArray:
    """Errors, shape ``(2, sizes, widths, seeds, cases)``, of validation and test cases."""
    rng = np.random.default_rng(derive_seed(seed, "sweep", task))
    networks = (len(design.sizes), len(design.widths), design.seeds)
    truth = design.error(np.asarray(design.sizes, np.float64))
    widths = np.asarray(design.widths, np.float64)
    off = 1 + _OFF * np.abs(np.log2(widths / widths[len(widths) // 2]))
    trainings = truth[:, None, None] * off[:, None] * np.exp(design.training * rng.normal(size=networks))
    subjects = np.repeat(_factor(rng, design.subject, (2, design.subjects)), design.slices, axis=1)
    readings = _factor(rng, design.case, (2, *networks, design.subjects * design.slices))
    return np.asarray(trainings[..., None] * subjects[:, None, None, None] * readings, np.float64)


def _factor(rng: np.random.Generator, deviation: float, shape: tuple[int, ...]) -> FloatArray:
    """Log-normal factors of mean 1."""
    return np.asarray(np.exp(deviation * rng.normal(size=shape) - deviation**2 / 2), np.float64)
