"""Fitting un-trained networks to k-space: several slices and seeds, in batches, with a second try for what diverges."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.measurements import Measurements
from scanproof.reconstruction.untrained.memory import activation_bytes
from scanproof.reconstruction.untrained.network import Weights
from scanproof.reconstruction.untrained.options import FitOptions
from scanproof.reconstruction.untrained.precision import compute_dtype
from scanproof.reconstruction.untrained.run import Build, FitStep, Job, MemberFit, Run

#: how often a diverged fit is tried again, each time with half the learning rate
RETRIES = 2


def fit(
    build: Build,
    measurements: Measurements,
    *,
    options: FitOptions,
    seeds: Sequence[int] = (0,),
    initial: Weights | None = None,
    one_by_one: bool = False,
    progress: Callable[[FitStep], None] | None = None,
) -> list[MemberFit]:
    """Fit a network of each seed to each slice.

    A result depends on its slice, its seed and the options; which networks are computed together changes it by
    rounding only. Slices whose k-space is zero are left out.

    Args:
        build: makes the network, e.g. a ``functools.partial`` of its class; called with the number of members.
        measurements: what is fitted.
        options: how.
        seeds: of an ensemble, one network each.
        initial: weights to start from, e.g. of a network fitted to another slice.
        one_by_one: fit slice after slice, each starting from the weights of the one before.
        progress: called every ``options.check`` steps.

    Returns:
        Slices in order, and the seeds of each in order.

    Raises:
        ScanproofError: a fit that diverges whatever the learning rate; weights that do not fit the network.

    Example:
        >>> import torch
        >>> from scanproof.reconstruction.untrained.conv_decoder import ConvDecoderNetwork
        >>> kspace = torch.randn(1, 2, 16, 16, dtype=torch.complex64)
        >>> data = Measurements(kspace, torch.ones(1, 1, 1, 16).bool(), torch.ones(1, 2, 16, 16) + 0j)
        >>> def build(members):
        ...     size = {"output_channels": 2, "output_size": (16, 16)}
        ...     return ConvDecoderNetwork(**size, channels=4, layers=3, members=members)
        >>> [member] = fit(build, data, options=FitOptions(iterations=10))
        >>> member.image.shape
        torch.Size([1, 16, 16])
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise ScanproofError("seeds must be different, and at least one", value=list(seeds))
    done: dict[tuple[int, int], MemberFit] = {}
    slices = [n for n, empty in enumerate(measurements.empty.tolist()) if not empty]
    start: dict[int, Weights | None] = dict.fromkeys(seeds, initial)
    for together in [[n] for n in slices] if one_by_one else [slices]:
        jobs = [Job(slice=n, seed=seed, initial=start[seed]) for n in together for seed in seeds]
        for member in _fit_all(jobs, build=build, measurements=measurements, options=options, progress=progress):
            done[member.slice, member.seed] = member
            if one_by_one:
                start[member.seed] = member.weights
    return [done[n, seed] for n in slices for seed in seeds]


def _fit_all(
    jobs: Sequence[Job],
    *,
    build: Build,
    measurements: Measurements,
    options: FitOptions,
    progress: Callable[[FitStep], None] | None,
) -> list[MemberFit]:
    """Fit in batches; what diverges is tried again with half the learning rate."""
    fitted: list[MemberFit] = []
    waiting = list(jobs)
    for attempt in range(RETRIES + 1):
        if not waiting:
            return fitted
        if attempt:
            options = replace(options, learning_rate=options.learning_rate / 2)
            warnings.warn(
                f"fit of slice {_names(waiting)} diverged and starts again with a learning rate of "
                f"{options.learning_rate:g}",
                RuntimeWarning,
                stacklevel=4,
            )
        size = _batch_size(build, measurements, options)
        diverged: list[Job] = []
        for first in range(0, len(waiting), size):
            batch = waiting[first : first + size]
            run = Run(batch, build=build, measurements=measurements, options=options, progress=progress)
            run.fit()
            if options.refit and measurements.holds_out and run.finished:
                run.refit()
            fitted += run.finished
            diverged += run.diverged
        waiting = diverged
    if waiting:
        raise ScanproofError(
            f"fit must stay finite, also with a learning rate of {options.learning_rate:g}",
            key=f"slice {_names(waiting)}",
            value="NaN or infinite",
            hint="use a lower learning_rate",
        )
    return fitted


def _names(jobs: Sequence[Job]) -> str:
    return ", ".join(str(n) for n in sorted({job.slice for job in jobs}))


def _batch_size(build: Build, measurements: Measurements, options: FitOptions) -> int:
    device = measurements.device
    if options.batch is not None:
        return options.batch
    if device.type == "cpu":
        return 1
    one = activation_bytes(build(1).to(device), compute_dtype(options.precision, device))
    return max(1, options.memory * 2**20 // one)
