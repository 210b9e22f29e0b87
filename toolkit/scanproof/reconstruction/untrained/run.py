"""One batch of networks that are fitted side by side, until each has had enough."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from scanproof.errors import ScanproofError
from scanproof.reconstruction.untrained.measurements import Measurements
from scanproof.reconstruction.untrained.network import UntrainedNetwork, Weights, pick, stack
from scanproof.reconstruction.untrained.optimisers import make_optimiser, pick_state, rate_at
from scanproof.reconstruction.untrained.options import FitOptions, Schedule
from scanproof.reconstruction.untrained.precision import compute_dtype, layout
from scanproof.reconstruction.untrained.stopping import EarlyStop
from scanproof.seeds import generator

#: learning rate of a refit in that of the fit; it falls to zero
REFIT_RATE = 0.3
#: makes a network with this many members
Build = Callable[[int], UntrainedNetwork]


@dataclass(frozen=True, kw_only=True)
class FitStep:
    """What a progress callback is told.

    Args:
        step: steps done.
        steps: most steps of the fit.
        slices: of the networks that are being fitted.
        loss: of each.
        held_out: error of each; NaN where nothing is held out.
        images: complex64 ``(n, 1 or coil, *spatial)``, what each would give if it stopped now, scaled like the data.
    """

    step: int
    steps: int
    slices: tuple[int, ...]
    loss: tuple[float, ...]
    held_out: tuple[float, ...]
    images: Tensor = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class MemberFit:
    """A fitted network.

    Args:
        slice: what it was fitted to.
        seed: of its weights and input.
        image: complex64 ``(1 or coil, *spatial)``, scaled like the data.
        weights: of the best step.
        steps: that were taken.
        best_step: the one with the lowest judged error.
        loss: at the best step.
        held_out: error at the best step, see :meth:`Measurements.errors`; NaN where nothing was held out.
        learning_rate: that was used, after halvings.
    """

    slice: int
    seed: int
    image: Tensor = field(repr=False)
    weights: dict[str, Tensor] = field(repr=False)
    steps: int
    best_step: int
    loss: float
    held_out: float
    learning_rate: float


@dataclass(frozen=True, kw_only=True)
class Job:
    """A network to fit: to which slice, from which seed, and perhaps from which weights."""

    slice: int
    seed: int
    initial: Weights | None = None


@dataclass(kw_only=True)
class _Member:
    """A network that is being fitted."""

    job: Job
    rule: EarlyStop
    noise: torch.Generator
    best: MemberFit | None = None
    done: bool = False
    #: steps and held-out error of what this fit goes on from
    steps_before: int = 0
    held_out_before: float = math.nan


class Run:
    """Networks that are fitted side by side. Those that are done leave, and the rest goes on without them.

    Args:
        jobs: what to fit.
        build: makes the networks.
        measurements: of all slices.
        options: how to fit.
        progress: called at every check.

    Attributes:
        finished: networks that are done.
        diverged: jobs whose loss was not finite.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        build: Build,
        measurements: Measurements,
        options: FitOptions,
        progress: Callable[[FitStep], None] | None = None,
    ) -> None:
        self.finished: list[MemberFit] = []
        self.diverged: list[Job] = []
        self._build, self._measurements, self._options, self._progress = build, measurements, options, progress
        self._dtype = compute_dtype(options.precision, measurements.device)
        self._average: Tensor | None = None
        self._begin(jobs, everything=not measurements.holds_out)

    def fit(self) -> None:
        """Take steps until all networks are done."""
        self._go(self._options.iterations, judge=True)

    def refit(self) -> None:
        """Go on from the best steps with the held-out samples among the fitted ones."""
        before, self.finished = self.finished, []
        self._begin([Job(slice=m.slice, seed=m.seed, initial=m.weights) for m in before], everything=True)
        for member, fit in zip(self._members, before, strict=True):
            member.steps_before, member.held_out_before = fit.steps, fit.held_out
        self._average = torch.stack([fit.image for fit in before])
        self._go(self._options.refit, judge=False)

    def _begin(self, jobs: Sequence[Job], *, everything: bool) -> None:
        network = self._build(len(jobs))
        network.initialise([job.seed for job in jobs])
        if any(job.initial is not None for job in jobs):
            own = network.state_dict()
            given = [pick(own, [n], of=len(jobs)) if job.initial is None else job.initial for n, job in enumerate(jobs)]
            _load(network, stack(given))
        self._take(network)
        self._optimiser = make_optimiser(self._network.parameters(), self._options)
        self._data = self._measurements.select([job.slice for job in jobs])
        # counted in looks at the judged error, not in steps
        window, patience = (math.ceil(n / self._options.check) for n in (self._options.window, self._options.patience))
        self._members = [
            _Member(
                job=job,
                rule=EarlyStop(window=window, patience=patience),
                noise=generator(job.seed, "input noise"),
            )
            for job in jobs
        ]
        self._average = None
        self._everything = everything

    def _take(self, network: UntrainedNetwork) -> None:
        self._network = network.to(self._measurements.device)
        self._network.use_layout(layout(network.spatial_dims))

    def _go(self, steps: int, *, judge: bool) -> None:
        # a refit starts without the optimiser's memory: large steps would throw it out of what it goes on from
        rate = self._options.learning_rate * (1.0 if judge else REFIT_RATE)
        schedule: Schedule = self._options.schedule if judge else "cosine"
        for step in range(steps):
            for group in self._optimiser.param_groups:
                group["lr"] = rate * rate_at(step, steps=steps, schedule=schedule)
            self._optimiser.zero_grad(set_to_none=True)
            images, loss, held_out = self._forward()
            torch.autograd.backward(loss.sum())
            self._remember(images.detach(), step)
            last = step == steps - 1
            # before the weights change, so that they are those of the image that is judged
            if last or (judge and (step + 1) % self._options.check == 0):
                self._look(loss.detach(), held_out, step=step + 1, steps=steps, judge=judge)
            self._optimiser.step()
            if last:
                for member in self._members:
                    member.done = True
            if any(member.done for member in self._members):
                self._part()
            if not self._members:
                return

    def _forward(self) -> tuple[Tensor, Tensor, Tensor]:
        noise = None
        device = self._measurements.device
        if self._options.input_noise > 0:
            shape = self._network.input.chunk(len(self._members))[0].shape
            drawn = torch.cat([torch.randn(shape, generator=member.noise) for member in self._members])
            noise = self._options.input_noise * drawn.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=self._dtype == torch.bfloat16):
            generated = self._network(noise)
        images = self._data.images(generated)
        return images, *self._data.errors(images, everything=self._everything)

    def _remember(self, images: Tensor, step: int) -> None:
        """Update the running mean; its memory grows over the first steps, whose images are far off."""
        if self._average is None or self._options.averaging == 0:
            self._average = images
        else:
            past = min(self._options.averaging, (1 + step) / (10 + step))
            self._average = torch.lerp(images, self._average, past)

    def _look(self, loss: Tensor, held_out: Tensor, *, step: int, steps: int, judge: bool) -> None:
        """Keep the best of each network, and see which are done or have diverged."""
        assert self._average is not None  # noqa: S101 (every step sets it)
        if self._options.averaging:
            with torch.no_grad():
                loss, held_out = self._data.errors(self._average, everything=self._everything)
        losses, errors = loss.tolist(), held_out.tolist()
        if self._progress is not None:
            slices = tuple(member.job.slice for member in self._members)
            self._progress(
                FitStep(
                    step=step,
                    steps=steps,
                    slices=slices,
                    loss=tuple(losses),
                    held_out=tuple(errors),
                    images=self._average,
                )
            )
        state = self._network.state_dict()
        for n, member in enumerate(self._members):
            if not math.isfinite(losses[n]):
                self.diverged.append(member.job)
                member.best, member.done = None, True
                continue
            judged = losses[n] if self._everything else errors[n]
            total = member.steps_before + step
            if judge and total < self._options.warmup and step < steps:
                continue
            if member.best is None or not judge or judged < _judged(member.best, everything=self._everything):
                member.best = MemberFit(
                    slice=member.job.slice,
                    seed=member.job.seed,
                    image=self._average[n].clone(),
                    weights=pick(state, [n], of=len(self._members)),
                    steps=total,
                    best_step=total,
                    loss=losses[n],
                    held_out=member.held_out_before if self._everything else errors[n],
                    learning_rate=self._options.learning_rate,
                )
            else:
                member.best = replace(member.best, steps=total)
            if judge and not self._everything:
                member.done = member.rule.update(judged)

    def _part(self) -> None:
        """Networks that are done leave; the others go on, with what the optimiser has gathered about them."""
        count = len(self._members)
        self.finished += [member.best for member in self._members if member.done and member.best is not None]
        stay = [n for n, member in enumerate(self._members) if not member.done]
        self._members = [self._members[n] for n in stay]
        if not stay:
            return
        smaller = self._build(len(stay))
        smaller.load_state_dict(pick(self._network.state_dict(), stay, of=count))
        self._take(smaller)
        everyone, self._optimiser = self._optimiser, make_optimiser(self._network.parameters(), self._options)
        pick_state(everyone, self._optimiser, members=stay, of=count)
        self._data = self._data.select(stay)
        if self._average is not None:
            self._average = self._average[stay]


def _judged(fit: MemberFit, *, everything: bool) -> float:
    return fit.loss if everything else fit.held_out


def _load(network: UntrainedNetwork, weights: Weights) -> None:
    own = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if own != given:
        wrong = min(name for name in own.keys() | given.keys() if own.get(name) != given.get(name))
        raise ScanproofError(
            f"initial weights must fit the network: {wrong} must have the shape {own.get(wrong)}",
            value=given.get(wrong),
            hint="weights fit networks of the same options and image size",
        )
    network.load_state_dict(dict(weights))
