"""Signals of a subspace in noise, and the exact risk of linear estimators of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scanproof.errors import ScanproofError


@dataclass(frozen=True)
class Subspace:
    """Signals ``x = Uc``, ``c ~ N(0, I)``, seen as ``y = x + z``, ``z ~ N(0, σ²I)`` (arXiv 2209.13435, section 3).

    Args:
        d: dimension of the signals, at least 1.
        n: dimension of what is seen, larger than ``d``.
        sigma: standard deviation of the noise, positive.

    Raises:
        ScanproofError: a value out of range.

    Example:
        >>> round(Subspace(10, 100, 0.05).optimal_risk, 8)
        0.00249377
    """

    d: int
    n: int
    sigma: float

    def __post_init__(self) -> None:
        if not 1 <= self.d < self.n:
            raise ScanproofError("d must be in [1, n)", key="d, n", value=(self.d, self.n))
        if not 0 < self.sigma < np.inf:
            raise ScanproofError("sigma must be positive", key="sigma", value=self.sigma)

    @property
    def optimal_risk(self) -> float:
        """Risk of the best linear estimator, ``UUᵀ/(1+σ²)``."""
        return self.sigma**2 / (1 + self.sigma**2)

    def draw(self, examples: int, rng: np.random.Generator) -> Examples:
        """A subspace, uniformly distributed, and examples of its signals.

        Args:
            examples: their number, at least 1.
            rng: source of subspace, signals and noise, in this order: fewer examples of the same seed are not the
                first of more.

        Raises:
            ScanproofError: no example.
        """
        if examples < 1:
            raise ScanproofError("number of examples must be at least 1", key="examples", value=examples)
        gaussian = rng.standard_normal((self.n, self.d))
        basis, triangle = np.linalg.qr(gaussian)
        basis *= np.sign(np.diag(triangle))  # without it, the distribution depends on how QR is computed
        codes = rng.standard_normal((self.d, examples))
        noise = self.sigma * rng.standard_normal((self.n, examples))
        return Examples(model=self, basis=basis, codes=codes, noisy=basis @ codes + noise)

    def risk(self, estimator: np.ndarray, basis: np.ndarray) -> float:
        """Expected squared error of ``x̂ = Wy`` for each dimension of the signal, exactly.

        Args:
            estimator: W, (n, n).
            basis: U, (n, d), orthonormal columns.

        Returns:
            ``(‖(W−I)U‖² + σ²‖W‖²)/d``, Frobenius norms.
        """
        bias = estimator @ basis - basis
        return float(((bias**2).sum() + self.sigma**2 * (estimator**2).sum()) / self.d)


@dataclass(frozen=True)
class Examples:
    """Training examples: clean signals ``X = UC`` and noisy ones ``Y``.

    Args:
        model: what they were drawn from.
        basis: U, (n, d), orthonormal columns.
        codes: C, (d, N).
        noisy: Y, (n, N).
    """

    model: Subspace
    basis: np.ndarray
    codes: np.ndarray
    noisy: np.ndarray

    @property
    def clean(self) -> np.ndarray:
        """X, (n, N)."""
        clean: np.ndarray = self.basis @ self.codes
        return clean
