"""How far beyond what was measured a scaling law may be read."""

from __future__ import annotations

from typing import NamedTuple

from scanproof.scaling.choice import REACH, Choice
from scanproof.scaling.ladder import Ladder


class Support(NamedTuple):
    """The largest size that a law may be read at, and why not further."""

    limit: float
    why: str


def support(ladder: Ladder, choice: Choice, *, precision: float) -> Support:
    """One doubling beyond the largest size, where the law has shown that it can predict one; else no further than it.

    The rule: the chosen form predicted each held-out size, at least one, from sizes of no more than half of it
    (:func:`~scanproof.scaling.choice.held_out`), and missed none by more than the precision that is asked for. Then
    it may be read one doubling beyond the largest size. No held-out test reaches further than the data themselves, and
    the longer the reach, the less one that was passed says; so never further.

    Args:
        ladder: what was measured.
        choice: of the form.
        precision: in units of the axis, e.g. the gain that a plan asks for.

    Example:
        >>> import numpy as np
        >>> from scanproof.scaling.axes import axis
        >>> from scanproof.scaling.choice import choose
        >>> sizes = np.array([10.0, 20.0, 40.0, 80.0])
        >>> values = tuple(np.array([[1 / size]]) for size in sizes)
        >>> exact = Ladder(axis=axis("mse"), sizes=sizes, values=values, subjects=np.array(["a"], object))
        >>> support(exact, choose(exact), precision=1e-3).limit
        160.0
    """
    largest = float(ladder.sizes[-1])
    tested = choice.candidates[choice.form].held_out
    if not tested:
        return Support(largest, f"too few sizes to hold out any and test how the {choice.form} law predicts it")
    worst = max(tested, key=lambda one: abs(one.predicted - one.measured))
    miss = abs(worst.predicted - worst.measured)
    if miss > precision:
        said = f"from sizes up to {worst.fitted:g}, the {choice.form} law missed {worst.size:g} by {miss:.3g}"
        return Support(largest, f"{said}, more than {precision:g}")
    said = f"held-out sizes bear out one doubling (missed by {miss:.3g} at most), and none reaches further"
    return Support(REACH * largest, said)
