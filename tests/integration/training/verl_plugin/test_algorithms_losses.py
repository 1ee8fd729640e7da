"""Losses and their gradients against the equations of the papers, written in NumPy here.

The expected values import nothing of verl. The batch holds rows of padding in place of masked replies; they count in no
denominator: token means are over the tokens, sequence means over the replies that there are.
"""

import numpy as np
import pytest

from tests.support.algorithms import Batch, composed, make_batch, verl_loss

# A step of 1e-6 in double precision: the error of a central difference is far below the tolerance.
STEP = 1e-6


@pytest.fixture(params=range(2))
def batch(request) -> Batch:
    return make_batch(request.param)


def advantages_of(batch: Batch) -> np.ndarray:
    scores = np.random.default_rng(7).normal(0, 1, len(batch.reward)) * batch.real
    return scores[:, None] * batch.mask


def ratio(log_probs: np.ndarray, batch: Batch) -> np.ndarray:
    return np.exp(log_probs - batch.old_log_probs)


def clipped(r: np.ndarray, a: np.ndarray, low: float, high: float, dual: float) -> np.ndarray:
    """min(r A, clip(r) A), and at most `dual` times |A| where A < 0 (arXiv 1912.09729)."""
    gain = np.minimum(r * a, np.clip(r, 1 - low, 1 + high) * a)
    return np.where(a < 0, np.maximum(gain, dual * a), gain)


def token_mean(values: np.ndarray, batch: Batch) -> float:
    return float((values * batch.mask).sum() / batch.mask.sum())


def sequence_mean(values: np.ndarray, batch: Batch) -> float:
    return float(values[batch.real].sum() / batch.real.sum())


def token_sums(values: np.ndarray, batch: Batch) -> np.ndarray:
    return (values * batch.mask).sum(axis=1)


def own_length(batch: Batch) -> np.ndarray:
    return np.maximum(batch.mask.sum(axis=1), 1)


def k3(log_probs: np.ndarray, batch: Batch) -> np.ndarray:
    """The low-variance estimator: reference / policy - 1 - log of that (arXiv 2402.03300, equation 4)."""
    difference = batch.ref_log_probs - log_probs
    return np.exp(difference) - difference - 1


def grpo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    """Equation 3 of arXiv 2402.03300 with the recipe's mean over tokens, clip 0.2 / 0.3 and dual clip 3."""
    gain = clipped(ratio(log_probs, batch), a, 0.2, 0.3, 3.0)
    return -token_mean(gain - 0.01 * k3(log_probs, batch), batch)


def dapo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    """Equation 8 of arXiv 2503.14476; the dual clip is the recipe's."""
    return -token_mean(clipped(ratio(log_probs, batch), a, 0.2, 0.28, 3.0), batch)


def gspo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    """Equations 5 and 7 of arXiv 2507.18071: one ratio a reply, the geometric mean of its tokens'."""
    mean = token_sums(log_probs - batch.old_log_probs, batch) / own_length(batch)
    score = token_sums(a, batch) / own_length(batch)
    gain = np.minimum(np.exp(mean) * score, np.clip(np.exp(mean), 1 - 3e-4, 1 + 4e-4) * score)
    return -sequence_mean(gain, batch)


def dr_grpo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    """arXiv 2503.20783: token sums over one constant, the longest reply that is allowed."""
    gain = token_sums(clipped(ratio(log_probs, batch), a, 0.2, 0.2, 3.0), batch)
    return -sequence_mean(gain, batch) / composed("dr_grpo").data.max_response_length


def sapo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    """arXiv 2511.20347: gate(r) = 4 / tau * sigmoid(tau (r - 1))."""
    tau = np.where(a > 0, 1.0, 1.05)
    gate = 4 / tau / (1 + np.exp(-tau * (ratio(log_probs, batch) - 1)))
    return -sequence_mean(token_sums(gate * a, batch) / own_length(batch), batch)


def rloo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    """arXiv 2402.14740: a reply is one action, its log-probability a sum; the ratio and its clip are PPO's."""
    return -sequence_mean(token_sums(clipped(ratio(log_probs, batch), a, 0.2, 0.2, 3.0), batch), batch)


def ppo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    return -token_mean(clipped(ratio(log_probs, batch), a, 0.2, 0.2, 3.0), batch)


def gdpo(log_probs: np.ndarray, batch: Batch, a: np.ndarray) -> float:
    return -token_mean(clipped(ratio(log_probs, batch), a, 0.2, 0.3, 3.0), batch)


EQUATIONS = {
    "grpo": grpo,
    "dapo": dapo,
    "gspo": gspo,
    "gdpo": gdpo,
    "dr_grpo": dr_grpo,
    "sapo": sapo,
    "rloo": rloo,
    "reinforce_pp": ppo,
}
# The nano experiment, which the settings are composed from, has no reference policy; the recipe's GRPO does.
OVERRIDES = {"grpo": {"use_kl_loss": True}}


@pytest.mark.parametrize("algorithm", EQUATIONS)
def test_loss(algorithm, batch):
    a = advantages_of(batch)

    loss, _ = verl_loss(algorithm, batch, a, OVERRIDES.get(algorithm))

    assert loss == pytest.approx(EQUATIONS[algorithm](batch.log_probs, batch, a), abs=1e-5)


@pytest.mark.parametrize("algorithm", sorted(set(EQUATIONS) - {"gspo"}))
def test_gradient(algorithm, batch):
    a, equation = advantages_of(batch), EQUATIONS[algorithm]
    expected = np.zeros_like(batch.mask)
    for index in zip(*np.nonzero(batch.mask), strict=True):
        up, down = batch.log_probs.copy(), batch.log_probs.copy()
        up[index] += STEP
        down[index] -= STEP
        expected[index] = (equation(up, batch, a) - equation(down, batch, a)) / (2 * STEP)

    _, gradient = verl_loss(algorithm, batch, a, OVERRIDES.get(algorithm))

    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_gspo_gradient(batch):
    """arXiv 2507.18071: s A / |y| for every token, where the ratio is not clipped."""
    close = Batch(**{**vars(batch), "log_probs": batch.old_log_probs + 1e-4 * batch.mask})
    a = advantages_of(batch)
    expected = -np.exp(1e-4) * a / own_length(batch)[:, None] / batch.real.sum() * batch.mask

    np.testing.assert_allclose(verl_loss("gspo", close, a)[1], expected, atol=1e-5)


def test_gspo_clips_whole_replies(batch):
    a = advantages_of(batch)
    mean = token_sums(batch.log_probs - batch.old_log_probs, batch) / own_length(batch)
    outside = batch.real & (((mean > 4e-4) & (a[:, 0] > 0)) | ((mean < -3e-4) & (a[:, 0] < 0)))

    _, gradient = verl_loss("gspo", batch, a)

    assert outside.any()
    assert np.abs(gradient[outside]).max() == 0.0


def test_cispo(batch):
    """Equations 4 and 5 of arXiv 2506.13585: sg(clip(r)) A log pi; the gradient holds no derivative of the ratio."""
    a = advantages_of(batch)
    weight = np.minimum(ratio(batch.log_probs, batch), 1.28)

    loss, gradient = verl_loss("cispo", batch, a)

    assert (weight == 1.28).any()
    assert loss == pytest.approx(-token_mean(weight * a * batch.log_probs, batch), abs=1e-5)
    np.testing.assert_allclose(gradient, -weight * a * batch.mask / batch.mask.sum(), atol=1e-5)


@pytest.mark.parametrize("algorithm", [*EQUATIONS, "cispo"])
def test_padding_gets_no_gradient(algorithm, batch):
    _, gradient = verl_loss(algorithm, batch, advantages_of(batch))

    assert np.abs(gradient[~batch.real]).max() == 0.0
