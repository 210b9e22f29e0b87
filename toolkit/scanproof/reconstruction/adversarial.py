"""Worst-case perturbations of k-space: the small change that moves a method's image farthest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from scanproof.errors import ScanproofError, unknown_name
from scanproof.physics.noise import complex_gaussian
from scanproof.reconstruction.base import Reconstructor, as_slices, check_kspace
from scanproof.seeds import generator

Mode = Literal["worst", "random"]
#: first step in radii of the ball: almost all of the perturbation is replaced by the gradient's direction
FIRST_STEP = 4.0


def perturb(
    method: Reconstructor,
    kspace: Tensor,
    mask: Tensor,
    sensitivities: Tensor,
    *,
    strength: float,
    seed: int,
    mode: Mode = "worst",
    steps: int = 20,
    through: Sequence[Reconstructor] = (),
) -> Tensor:
    r"""K-space with the perturbation of bounded norm that does most to a method's image.

    .. math:: \max_e \lVert f(y + e) - f(y) \rVert \quad \text{subject to} \quad \lVert e \rVert \le s \lVert y \rVert

    over perturbations e of the sampled positions of a slice, in all coils together, f being the method and s the
    strength. It is a worst case that knows the method, its weights and the mask. No scanner does this: random noise
    of the same norm (``mode="random"``) is what to compare it with.

    Found by projected gradient ascent from a random start (Darestani et al., ICML 2021, arXiv 2102.06103, who bound
    s by 0.08). Deviations: gradients are normalised; every iterate lies on the ball's surface, since a longer
    perturbation does more; a step that gains nothing is taken back and halved, so that no step size is left to choose.
    Ascent finds a local maximum: what it does is a lower bound of what the worst perturbation does.

    A method that is not ``differentiable``, such as a fit of thousands of steps, is given the perturbation found
    through its :meth:`~scanproof.reconstruction.base.Reconstructor.stand_in`: a weaker attack, since that is not the
    method. ConvDecoder, refitted from scratch, lost 3 to 4 dB at strength 0.02 and 9 to 13 dB at 0.04 in this way
    (R = 4, 96 x 80, 8 coils), 0.6 dB at 0.02 when 15 unrolled steps of its fit were attacked instead, and at most
    0.5 dB under noise of the same norm.

    Args:
        method: what is attacked, trained if it has to be.
        kspace: complex64 (..., coil, H, W).
        mask: bool, broadcastable to ``kspace``.
        sensitivities: complex64, of the same shape as ``kspace`` or without batch axes.
        strength: s, in [0, 1]; 0 changes nothing.
        seed: of the random start; every slice meets the same draw, so that it does not depend on its neighbours.
        mode: ``"worst"``, or ``"random"``: white Gaussian noise of the sampled positions, of the full norm allowed.
        steps: of the ascent, one gradient each.
        through: differentiable methods through which perturbations are sought, in place of the stand-in. Of several,
            the perturbation that moves the image of ``method`` most is kept, which takes one reconstruction each.

    Returns:
        complex64, shape of ``kspace``: y + e, the bound kept but for rounding. Slices of zeros stay zeros.

    Raises:
        ScanproofError: a value out of range; k-space that the method would refuse; a method in ``through`` that is
            not differentiable, or from which no finite gradient comes.

    Example:
        >>> from scanproof.reconstruction.zero_filled import ZeroFilled
        >>> kspace, mask = torch.ones(1, 4, 4, dtype=torch.complex64), torch.ones(4, dtype=torch.bool)
        >>> attacked = perturb(ZeroFilled(), kspace, mask, torch.ones_like(kspace), strength=0.05, seed=1)
        >>> round(((attacked - kspace).norm() / kspace.norm()).item(), 4)
        0.05
    """
    check_kspace(kspace, mask, sensitivities, spatial_dims=method.spatial_dims)
    if not 0 <= strength <= 1:
        raise ScanproofError("strength must be in [0, 1]", value=strength)
    if steps < 1:
        raise ScanproofError("steps must be at least 1", value=steps)
    if mode not in get_args(Mode):
        raise unknown_name("mode", mode, get_args(Mode), key="mode")
    victims = tuple(through) or (method.stand_in(),)
    for victim in victims:
        if not victim.differentiable:
            raise ScanproofError("through must hold differentiable methods", value=type(victim).__name__)
    # one after the other: a graph through all iterations of a method takes much memory
    dims = method.spatial_dims
    given = (as_slices(x, kspace.shape[: -dims - 1], spatial_dims=dims) for x in (kspace, mask, sensitivities))
    slices = zip(*given, strict=True)
    perturbed = []
    for y, m, maps in slices:
        start = _noise(y, m, strength=strength, seed=seed)
        found = start if mode == "random" else _worst(method, victims, y, m, maps, start=start, steps=steps)
        perturbed.append(y + found)
    return torch.stack(perturbed).reshape(kspace.shape)


def ascend(image: Callable[[Tensor], Tensor], kspace: Tensor, start: Tensor, *, where: Tensor, steps: int) -> Tensor:
    """Turn a perturbation so that it moves an image farther, by projected gradient ascent; its norm stays.

    Args:
        image: differentiable, from k-space to a real image.
        kspace: complex, any shape.
        start: a perturbation, shape of ``kspace``, not zero: there, no direction leads uphill more than another.
        where: bool, broadcastable to ``kspace``, positions that may change.
        steps: of the ascent.

    Returns:
        The perturbation, among those tried, that moves the image farthest, shape of ``kspace``.

    Raises:
        ScanproofError: no finite gradient comes from the image.

    Example:
        >>> gains, start, everywhere = torch.tensor([1.0, 3.0]), torch.tensor([0.6, 0.8]) + 0j, torch.tensor(True)
        >>> found = ascend(lambda k: gains * k.real, torch.ones(2) + 0j, start, where=everywhere, steps=9)
        >>> found.real.round(decimals=3)
        tensor([0., 1.])
    """
    radius = start.norm()
    with torch.no_grad():
        clean = image(kspace)
        unit = clean.norm() if clean.any() else torch.ones_like(clean.norm())

    def moved(perturbation: Tensor) -> Tensor:
        # divided first: squares of very small numbers would vanish
        return ((image(kspace + perturbation) - clean) / unit).square().sum()

    with torch.enable_grad():
        best = start.detach().requires_grad_(True)
        farthest = moved(best)
        step, uphill = FIRST_STEP, None
        for _ in range(steps):
            if uphill is None:
                uphill = _gradient(farthest, best) * where
                if not uphill.any():
                    break
                uphill = uphill * (radius / uphill.norm())
            candidate = best.detach() + step * uphill
            candidate = (candidate * (radius / candidate.norm())).requires_grad_(True)
            distance = moved(candidate)
            if distance > farthest:
                best, farthest, uphill = candidate, distance, None
            else:
                step /= 2
    return best.detach()


def _worst(
    method: Reconstructor,
    victims: Sequence[Reconstructor],
    kspace: Tensor,
    mask: Tensor,
    sensitivities: Tensor,
    *,
    start: Tensor,
    steps: int,
) -> Tensor:
    """The perturbation of one slice, of those found against each victim the one that moves the method's image most."""
    if not start.any():
        return start

    def against(victim: Reconstructor) -> Tensor:
        def image(changed: Tensor) -> Tensor:
            return victim.differentiable_image(changed, mask, sensitivities)

        return ascend(image, kspace, start, where=mask, steps=steps)

    found = [against(victim) for victim in victims]
    if len(found) == 1:
        return found[0]
    clean = method(kspace, mask, sensitivities)
    distances = [(method(kspace + one, mask, sensitivities) - clean).norm().item() for one in found]
    return found[distances.index(max(distances))]


def _noise(kspace: Tensor, mask: Tensor, *, strength: float, seed: int) -> Tensor:
    """White noise of the sampled positions of one slice, its norm ``strength`` of theirs."""
    drawn = complex_gaussian(kspace.shape, std=1.0, generator=generator(seed, "perturbation")).to(kspace) * mask
    noise: Tensor = drawn * (strength * (kspace * mask).norm() / drawn.norm())
    return noise


def _gradient(value: Tensor, of: Tensor) -> Tensor:
    if not value.requires_grad:
        raise ScanproofError("a differentiable method must let gradients through to k-space", value="none")
    (gradient,) = torch.autograd.grad(value, of)
    if not torch.view_as_real(gradient).isfinite().all():
        raise ScanproofError("gradient of a differentiable method must be finite", value="NaN or infinite")
    return gradient
