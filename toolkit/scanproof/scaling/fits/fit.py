"""A scaling law by the name of its form: fitted, evaluated, and told by its exponents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from scanproof.errors import ScanproofError, unknown_name
from scanproof.scaling.fits.broken import fit_broken
from scanproof.scaling.fits.saturating import fit_saturating
from scanproof.scaling.fits.single import FloatArray, fit_single

Form = Literal["single", "broken", "saturating"]
FORMS: tuple[Form, ...] = get_args(Form)
#: parameters of each form; as many sizes fix it
PARAMETERS: dict[Form, int] = {"single": 2, "broken": 4, "saturating": 3}
#: fewest sizes that a fit is worth: one more than fix it
SIZES: dict[Form, int] = {form: count + 1 for form, count in PARAMETERS.items()}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fitted curves of one form.

    Attributes:
        form: of all curves.
        falls: whether better is lower.
        smallest: the smallest fitted size.
        largest: the largest fitted size.
        parameters: shape ``(curves, parameters)``, see the form's function.
        squares: weighted sums of squared residuals of logarithms, shape ``(curves,)``.
    """

    form: Form
    falls: bool
    smallest: float
    largest: float
    parameters: FloatArray
    squares: FloatArray

    def logs(self, sizes: FloatArray) -> FloatArray:
        """Logarithms of the curves at some sizes, shape ``(curves, sizes)``."""
        x, p = np.log(np.asarray(sizes, np.float64)), self.parameters[:, :, None]
        if self.form == "single":
            return np.asarray(p[:, 0] + p[:, 1] * x, np.float64)
        if self.form == "broken":
            return np.asarray(p[:, 0] + p[:, 1] * x + (p[:, 2] - p[:, 1]) * np.maximum(x - p[:, 3], 0), np.float64)
        share = np.exp(p[:, 2] - p[:, 0])
        fallen = np.exp(p[:, 1] * (x - np.log(self.smallest)))
        return np.asarray(p[:, 0] + np.log(share + (1 - share) * fallen), np.float64)

    def values(self, sizes: FloatArray) -> FloatArray:
        """The curves at some sizes in units of their axis, shape ``(curves, sizes)``."""
        return np.asarray(np.exp(self.logs(sizes)), np.float64)

    def rates(self, sizes: FloatArray) -> FloatArray:
        """Local exponents at some sizes, positive where the curve gets better: ``|d ln y / d ln N|``."""
        x, p = np.log(np.asarray(sizes, np.float64)), self.parameters[:, :, None]
        if self.form == "single":
            slope = p[:, 1] + 0 * x
        elif self.form == "broken":
            slope = np.where(x < p[:, 3], p[:, 1], p[:, 2])
        else:
            share = np.exp(p[:, 2] - p[:, 0])
            fallen = np.exp(p[:, 1] * (x - np.log(self.smallest)))
            slope = p[:, 1] * (1 - share) * fallen / (share + (1 - share) * fallen)
        return np.asarray(-slope if self.falls else slope, np.float64)

    @property
    def flattening(self) -> FloatArray:
        """How much of the local exponent is lost from the smallest size to the largest, shape ``(curves,)``."""
        ends = self.rates(np.array([self.smallest, self.largest]))
        return np.asarray(ends[:, 0] - ends[:, 1], np.float64)


def fit(form: Form, sizes: FloatArray, y: FloatArray, weights: FloatArray, *, falls: bool) -> Fit:
    """Fit one form to curves that share their sizes.

    Args:
        form: ``"single"``, ``"broken"`` or ``"saturating"``.
        sizes: rising, above 0, shape ``(n,)``.
        y: logarithms of values, a curve a row, shape ``(curves, n)``.
        weights: of the sizes, shape ``(n,)``.
        falls: whether better is lower; only the saturating form depends on it.

    Raises:
        ScanproofError: an unknown form, sizes that do not rise, or fewer sizes than the form has parameters.

    Example:
        >>> sizes = np.array([10.0, 100.0, 1000.0])
        >>> found = fit("single", sizes, np.log([[1.0, 0.1, 0.01]]), np.ones(3), falls=True)
        >>> found.values(np.array([2000.0])).round(6), found.rates(np.array([50.0])).round(6)
        (array([[0.005]]), array([[1.]]))
    """
    if form not in FORMS:
        raise unknown_name("form of a scaling law", form, FORMS, key="form")
    sizes, y = np.asarray(sizes, np.float64), np.asarray(y, np.float64)
    if len(sizes) < PARAMETERS[form]:
        raise ScanproofError(f"a {form} law must have at least {PARAMETERS[form]} sizes", key="sizes", value=len(sizes))
    if y.ndim != 2 or y.shape[1] != len(sizes) or not np.isfinite(y).all():
        raise ScanproofError(f"y must be finite and have {len(sizes)} sizes a row", key="y", value=y.shape)
    if sizes[0] <= 0 or (np.diff(sizes) <= 0).any():
        raise ScanproofError("sizes must rise and be above 0", key="sizes", value=sizes.tolist())
    x = np.log(sizes)
    if form == "single":
        parameters, squares = fit_single(x, y, weights)
    elif form == "broken":
        parameters, squares = fit_broken(x, y, weights)
    else:
        parameters, squares = fit_saturating(x, y, weights, falls=falls)
    return Fit(
        form=form,
        falls=falls,
        smallest=float(sizes[0]),
        largest=float(sizes[-1]),
        parameters=parameters,
        squares=squares,
    )
