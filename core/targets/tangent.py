"""Errors told as tangent vectors: a head that says their mean and covariance, its loss, and mixtures of several."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal
from torch.nn import functional as F

from mainstem.core.targets.parts import Array, Head, Loss, Reading

SMALLEST_SCALE = 1e-3  # of a standardised tangent vector; keeps the likelihood finite
FREEDOM = 4.0  # Lange, Little & Taylor 1989, Robust statistical modeling using the t distribution, section 3
# By how much the scale matrix of a t of 4 degrees that is fitted to normal errors is smaller than their covariance, by
# dimension: the root k of E[(4 + d) m / (4 + m)] = d, where k m is chi-squared of d (tests/core/targets/test_tangent).
AT_THE_NORMAL = {2: 0.726748, 3: 0.755889, 6: 0.816572}


class TangentHead(Head):
    """A normal distribution (batch,) over standardised tangent vectors (num,), by a Cholesky factor."""

    def __init__(self, dim: int, num: int) -> None:
        super().__init__()
        self.num = num
        self.linear = nn.Linear(dim, num + num * (num + 1) // 2)

    def forward(self, reading: Reading) -> Distribution:
        """Return a MultivariateNormal; the factor's diagonal is a softplus, never below SMALLEST_SCALE."""
        told = self.linear(reading.pooled).float()
        mean, raw, below = told.split([self.num, self.num, told.shape[-1] - 2 * self.num], -1)
        rows, columns = torch.tril_indices(self.num, self.num, -1, device=told.device)
        lower = torch.zeros(*told.shape[:-1], self.num, self.num, device=told.device)
        lower[..., rows, columns] = below
        return MultivariateNormal(mean, scale_tril=lower + torch.diag_embed(F.softplus(raw) + SMALLEST_SCALE))


def robust_loss(distribution: Distribution, aims: Tensor, weights: Tensor | None) -> Loss:
    """Return the negative log-likelihood of tangent vectors (batch, num), up to a constant, with Student's tails.

    A magnet beside a sensor turns its heading by any angle: the square of such an error would outweigh a hundred good
    cases, and widen the doubt of all. Under a t of 4 degrees of freedom no case pulls harder than a bound. What the
    head says stays the covariance of normal errors: AT_THE_NORMAL turns it into the t's scale matrix.
    """
    assert isinstance(distribution, MultivariateNormal)
    num = aims.shape[-1]
    factor = distribution.scale_tril
    away = (aims.to(factor.dtype) - distribution.loc)[..., None]
    square = torch.linalg.solve_triangular(factor, away, upper=False).square().sum((-2, -1)) / AT_THE_NORMAL[num]
    tails = 0.5 * (FREEDOM + num) * torch.log1p(square / FREEDOM)
    each = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + tails
    return Loss(total=(each if weights is None else each * weights).sum(), count=len(each))


def told_of(distribution: Distribution) -> tuple[Array, Array]:
    """Return mean (cases, num) and covariance (cases, num, num) that a head says, standardised."""
    assert isinstance(distribution, MultivariateNormal)
    mean, factor = (one.detach().double().cpu().numpy() for one in (distribution.loc, distribution.scale_tril))
    return mean, factor @ np.swapaxes(factor, -1, -2)


def mixture(away: Array, covariances: Array) -> Array:
    """Return the covariance (cases, num, num) of an even mixture: its parts' own, and how they lie about their mean.

    Args:
        away: (parts, cases, num), from the mean over the parts.
        covariances: (parts, cases, num, num).
    """
    between: Array = np.einsum("pci,pcj->cij", away, away) / len(away)
    within: Array = covariances.mean(0)
    return within + between


def distance(away: Array, covariance: Array) -> Array:
    """Return Mahalanobis distances (cases,) of tangent vectors (cases, num)."""
    found: Array = np.sqrt(np.einsum("ci,ci->c", away, np.linalg.solve(covariance, away[..., None])[..., 0]))
    return found
