"""Linear estimators learned from examples, and their exact risks.

Every estimator here that is learned from pairs maps into the span of the clean signals: ``W = UB``. Its risk needs only
``B`` applied to the basis and the norm of ``B``, so that no n × n matrix is formed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from scanproof.errors import ScanproofError
from scanproof.scaling.theory.subspace import Examples

#: candidates for the number of steps; between them the best is sought one by one
_GRID = 400
_MOST_STEPS = 1e12
#: ratio of sides from which a Gram matrix is decomposed instead
_OBLONG = 4


@dataclass(frozen=True)
class Stopped:
    """Gradient descent, stopped where its true risk is least.

    Args:
        steps: k.
        risk: of the estimator after these steps.
    """

    steps: int
    risk: float


class Decomposition:
    """What risks of estimators learned from some examples need: one singular value decomposition, ``Y = PSQᵀ``.

    Args:
        examples: the training examples.

    Example:
        >>> from scanproof.scaling.theory.subspace import Subspace
        >>> examples = Subspace(10, 100, 0.05).draw(256, np.random.default_rng(0))
        >>> learned = Decomposition(examples)
        >>> learned.early_stopped().risk < learned.pca() < learned.minimum_norm()
        True
    """

    def __init__(self, examples: Examples) -> None:
        self.examples = examples
        model = examples.model
        self._values, self._codes, self._seen = _decompose(examples)  # S (r,), CQ (d, r), PᵀU (r, d)
        self._energy = (self._codes**2).sum(axis=0)
        self._noise: float = model.sigma**2

    def _filtered(self, response: np.ndarray) -> float:
        """Risk of ``XQ diag(f) Pᵀ``."""
        d = self.examples.model.d
        bias = (self._codes * response) @ self._seen - np.eye(d)
        return float(((bias**2).sum() + self._noise * (response**2 @ self._energy)) / d)

    @property
    def step_size(self) -> float:
        """η of gradient descent: ``1/(N(1+ε)(1+σ²))`` with ``ε = √(10(d+σ²n) ln n / N)``."""
        model, count = self.examples.model, self.examples.codes.shape[1]
        slack = math.sqrt(10 * (model.d + model.sigma**2 * model.n) * math.log(model.n) / count)
        step: float = 1 / (count * (1 + slack) * (1 + model.sigma**2))
        return step

    def gradient_descent(self, steps: int) -> float:
        """Risk after so many steps ``W ← W − η(WYYᵀ − XYᵀ)`` from zero, in closed form.

        Args:
            steps: k, not negative.

        Raises:
            ScanproofError: a negative number of steps.
        """
        if steps < 0:
            raise ScanproofError("number of steps must not be negative", key="steps", value=steps)
        squares = self.step_size * self._values**2
        if squares.max() >= 2:  # cannot happen at the step size above but by an unlucky draw
            raise ScanproofError("step size must be below 2 / s², or gradient descent diverges", value=squares.max())
        # (1 − (1 − ηs²)^k) / s; where ηs² is above one, powers alternate
        flips = np.where(squares > 1, (-1.0) ** (steps % 2), 1.0)
        with np.errstate(divide="ignore"):
            left = flips * np.exp(steps * np.log(np.abs(1 - squares))) if steps else np.ones_like(squares)
        return self._filtered(np.divide(1 - left, self._values, out=np.zeros_like(left), where=self._values > 0))

    def early_stopped(self) -> Stopped:
        """Gradient descent stopped where the true risk is least.

        The risk is computed at steps that grow by a constant factor, and then at whole steps about the best of them, by
        bisection of the slope.
        """
        candidates = np.unique(np.concatenate([[0], np.geomspace(1, _MOST_STEPS, _GRID).round()])).astype(np.int64)
        risks = [self.gradient_descent(int(k)) for k in candidates]
        best = int(np.argmin(risks))
        low = int(candidates[max(best - 1, 0)])
        high = int(candidates[min(best + 1, len(candidates) - 1)])
        while high - low > 2:
            middle = (low + high) // 2
            if self.gradient_descent(middle) <= self.gradient_descent(middle + 1):
                high = middle + 1
            else:
                low = middle
        steps = min(range(low, high + 1), key=self.gradient_descent)
        return Stopped(steps=steps, risk=self.gradient_descent(steps))

    def minimum_norm(self) -> float:
        """Risk of the estimator of minimum norm that fits the examples best, ``XY⁺``: where gradient descent ends."""
        cut = self._values.max() * max(self.examples.noisy.shape) * np.finfo(float).eps
        return self._filtered(np.divide(1, self._values, out=np.zeros_like(self._values), where=self._values > cut))

    def pca(self) -> float:
        """Risk of ``ÛÛᵀ/(1+σ²)`` with the first d principal directions of the noisy examples, without clean ones."""
        d = self.examples.model.d
        seen = self._seen[:d]  # (d or fewer, d)
        shrink = 1 / (1 + self._noise)
        # ‖(sÛÛᵀ − I)U‖² = d − (2s − s²)‖ÛᵀU‖²
        bias = d - (2 * shrink - shrink**2) * (seen**2).sum()
        return float((bias + self._noise * shrink**2 * len(seen)) / d)


def _decompose(examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S (r,), falling; CQ (d, r) and PᵀU (r, d) of the noisy examples ``Y = PSQᵀ``.

    Where Y is far from square, its singular values are far from zero, and the eigenvectors of the smaller Gram matrix
    give the same in a fraction of the time.
    """
    noisy, codes, basis = examples.noisy, examples.codes, examples.basis
    n, count = noisy.shape
    if count >= _OBLONG * n:
        squares, left = scipy.linalg.eigh(noisy @ noisy.T, check_finite=False)
        values, left = np.sqrt(squares[::-1]), left[:, ::-1]
        return values, (codes @ noisy.T) @ left / values, left.T @ basis
    if n >= _OBLONG * count:
        squares, right = scipy.linalg.eigh(noisy.T @ noisy, check_finite=False)
        values, right = np.sqrt(squares[::-1]), right[:, ::-1]
        return values, codes @ right, (right / values).T @ (noisy.T @ basis)
    left, values, right_rows = scipy.linalg.svd(noisy, full_matrices=False, check_finite=False)
    return values, codes @ right_rows.T, left.T @ basis
