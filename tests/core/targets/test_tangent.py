"""The loss of tangent vectors: what it holds of normal errors, and how little one wild error moves it."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2
from torch.distributions import MultivariateNormal

from mainstem.core.targets.parts import Reading
from mainstem.core.targets.tangent import AT_THE_NORMAL, FREEDOM, TangentHead, distance, mixture, robust_loss, told_of

FACTOR = torch.tensor([[0.5, 0.0, 0.0], [0.3, 1.0, 0.0], [-0.2, 0.4, 2.0]])


@pytest.mark.parametrize(("num", "share"), AT_THE_NORMAL.items())
def test_the_scale_of_normal_errors_is_that_of_a_t_fitted_to_them(num, share):
    def pull(square: float) -> float:
        told = square / share
        return chi2.pdf(square, num) * (FREEDOM + num) * told / (FREEDOM + told)

    assert quad(pull, 0, np.inf)[0] == pytest.approx(num, abs=1e-5)


def fitted(errors: torch.Tensor) -> np.ndarray:
    """The covariance of least loss."""
    raw, below = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw, below], max_iter=200, line_search_fn="strong_wolfe")

    def told() -> MultivariateNormal:
        lower = torch.diag_embed(raw.exp())
        rows, columns = torch.tril_indices(3, 3, -1)
        lower = lower.index_put((rows, columns), below)
        return MultivariateNormal(torch.zeros(len(errors), 3), scale_tril=lower.expand(len(errors), 3, 3))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = robust_loss(told(), errors, None).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return told_of(told())[1][0]


def test_the_covariance_of_least_loss_is_that_of_normal_errors_and_a_wild_one_moves_it_little():
    errors = torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)) @ FACTOR.T
    wanted = (FACTOR @ FACTOR.T).numpy()
    np.testing.assert_allclose(fitted(errors), wanted, atol=0.06)
    wild = torch.cat([errors, torch.full((200, 3), 100.0)])  # of a hundredth, whose own covariance would be 100
    assert np.abs(fitted(wild) - wanted).max() < 0.2


def test_a_head_says_a_whole_covariance():
    torch.manual_seed(0)
    found = TangentHead(8, 6)(Reading(pooled=torch.randn(5, 8)))
    mean, covariance = told_of(found)
    assert mean.shape == (5, 6)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    assert np.abs(covariance[:, 1, 0]).min() > 0


def test_weights_count():
    told = MultivariateNormal(torch.zeros(2, 3), scale_tril=FACTOR.expand(2, 3, 3))
    aims = torch.tensor([[0.0, 0.0, 0.0], [5.0, 5.0, 5.0]])
    plain = float(robust_loss(told, aims, None).mean())
    assert float(robust_loss(told, aims, torch.tensor([2.0, 0.0])).mean()) < plain


def test_a_mixture_is_as_wide_as_its_draws():
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [2.0, 0.0]])
    draws = np.concatenate([rng.multivariate_normal(mean, np.diag([1.0, 0.2]), 50_000) for mean in means])
    found = mixture((means - means.mean(0))[:, None], np.tile(np.diag([1.0, 0.2]), (2, 1, 1, 1)))
    np.testing.assert_allclose(found[0], np.cov(draws.T), atol=0.02)
    assert distance(np.array([[2.0, 0.0]]), np.diag([4.0, 1.0])[None]).tolist() == [1.0]
