"""Closed forms of risks where there are few or very many examples."""

from __future__ import annotations

import numpy as np

from scanproof.scaling.theory.subspace import Subspace


def minimum_norm_risk(model: Subspace, examples: int) -> float:
    """Expected risk of the minimum-norm estimator with more than ``n + 1`` examples: ``R*(1 + n/(N−n−1))``, exactly.

    Fewer examples give NaN: about ``N = n`` the risk has a peak (double descent) that no closed form here describes.

    Example:
        >>> round(minimum_norm_risk(Subspace(10, 100, 0.05), 256), 5)
        0.0041
    """
    if examples <= model.n + 1:
        return float("nan")
    return model.optimal_risk * (1 + model.n / (examples - model.n - 1))


def pca_risk(model: Subspace, examples: int) -> float:
    """Risk of principal components with many examples: ``R* + (n−d)/N · σ²(1+2σ²)/(1+σ²)``, to first order in 1/N.

    Example:
        >>> model = Subspace(10, 100, 0.05)
        >>> round(pca_risk(model, 16384) - model.optimal_risk, 7)
        1.38e-05
    """
    noise = model.sigma**2
    return model.optimal_risk + (model.n - model.d) / examples * noise * (1 + 2 * noise) / (1 + noise)


def gradient_descent_risk(model: Subspace, examples: int) -> float:
    """Risk of early-stopped gradient descent with very many examples: about ``R*(1 + (d+nσ²)/N)``.

    A heuristic, not the bound of the paper's theorem, and too low where ``N`` is not far above ``d + nσ²``.
    """
    return model.optimal_risk * (1 + (model.d + model.n * model.sigma**2) / examples)


def few_examples_risk(model: Subspace, examples: int) -> float:
    """Risk with fewer examples than dimensions and little noise: what was not seen is lost, ``1 − N/d``."""
    return max(0.0, 1 - examples / model.d)


def asymptotes(model: Subspace, examples: int) -> dict[str, float]:
    """All closed forms by the estimator that they are of; NaN where one does not hold.

    Args:
        model: the setting.
        examples: N.
    """
    few = few_examples_risk(model, examples) if examples < model.d else np.nan
    many = examples > 4 * (model.d + model.n * model.sigma**2)
    return {
        "optimal": model.optimal_risk,
        "few_examples": few,
        "early_stopped": gradient_descent_risk(model, examples) if many else float("nan"),
        "pca": pca_risk(model, examples) if examples > 4 * model.n * model.sigma**2 + model.d else float("nan"),
        "minimum_norm": minimum_norm_risk(model, examples),
    }
