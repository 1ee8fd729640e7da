"""Advantages of every algorithm against the equations of their papers, written in NumPy here.

The expected values import nothing of verl. Deviations are those of a sample (n - 1); masked replies are gone from their
groups, and rows of padding stand in their place (tests/support/algorithms.py).
"""

import numpy as np
import pytest

from medix_r1.algorithms.estimators import RewardParts, parts_of_batch
from medix_r1.errors import TrainingError
from medix_r1.training.verl_plugin import estimators
from tests.support.algorithms import Batch, composed, make_batch, verl_advantages
from tests.support.problems import coded

EPSILON = 1e-6


def per_token(scores: np.ndarray, batch: Batch) -> np.ndarray:
    return scores[:, None] * batch.mask


def by_group(batch: Batch, values: np.ndarray):
    for name in dict.fromkeys(batch.groups):
        rows = batch.groups == name
        yield rows, values[rows]


def normalised_in_groups(batch: Batch) -> np.ndarray:
    """arXiv 2402.03300, equation 3 and section 4.1.2: (r - mean) / std of the group."""
    scores = np.zeros(len(batch.reward))
    for rows, r in by_group(batch, batch.reward):
        scores[rows] = (r - r.mean()) / (np.sqrt(((r - r.mean()) ** 2).sum() / (len(r) - 1)) + EPSILON)
    return scores


@pytest.fixture(params=range(3))
def batch(request) -> Batch:
    return make_batch(request.param)


@pytest.mark.parametrize("algorithm", ["grpo", "dapo", "gspo", "cispo", "sapo"])
def test_group_normalised(algorithm, batch):
    expected = per_token(normalised_in_groups(batch), batch)

    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(verl_advantages(algorithm, batch), expected, atol=1e-5)


def test_a_group_of_equal_rewards_has_no_advantage(batch):
    assert np.abs(verl_advantages("grpo", batch)[5:10]).max() < 1e-5  # 0 divided by epsilon: rounding only


def test_dr_grpo(batch):
    """arXiv 2503.20783: the mean of the group is taken off, and nothing divided."""
    scores = np.zeros(len(batch.reward))
    for rows, r in by_group(batch, batch.reward):
        scores[rows] = r - r.mean()

    np.testing.assert_allclose(verl_advantages("dr_grpo", batch), per_token(scores, batch), atol=1e-5)


def test_rloo(batch):
    """arXiv 2402.14740: the reward minus the mean of the others' rewards."""
    scores = np.zeros(len(batch.reward))
    for i, (uid, real) in enumerate(zip(batch.groups, batch.real, strict=True)):
        others = [j for j in np.flatnonzero(batch.groups == uid) if j != i]
        scores[i] = batch.reward[i] - batch.reward[others].mean() if real else 0.0

    np.testing.assert_allclose(verl_advantages("rloo", batch), per_token(scores, batch), atol=1e-5)


def test_reinforce_pp(batch):
    """arXiv 2501.03262: return of reward minus KL from each token on, normalised over all tokens of the batch."""
    settings = composed("reinforce_pp").algorithm
    kl = batch.old_log_probs - batch.ref_log_probs
    returns = np.zeros_like(batch.mask)
    for i, real in enumerate(batch.real):
        running = 0.0
        for t in reversed(range(batch.lengths[i] if real else 0)):
            last = t == batch.lengths[i] - 1
            running = (
                (batch.reward[i] if last else 0.0) - settings.kl_ctrl.kl_coef * kl[i, t] + settings.gamma * running
            )
            returns[i, t] = running
    tokens = returns[batch.mask > 0]
    deviation = np.sqrt(((tokens - tokens.mean()) ** 2).sum() / (len(tokens) - 1))
    expected = (returns - tokens.mean()) / deviation * batch.mask

    assert settings.kl_ctrl.kl_coef > 0
    np.testing.assert_allclose(verl_advantages("reinforce_pp", batch), expected, atol=1e-5)


WEIGHTS = {"llm": 0.6, "format": 0.1, "modality": 0.3, "exact": 0.0}


def gdpo_parts(batch: Batch, seed: int) -> dict[str, list[float | None]]:
    rng = np.random.default_rng(seed)
    size = len(batch.reward)
    parts = {
        "llm": rng.integers(0, 2, size).astype(float).tolist(),
        "format": [1.0] * size,  # everybody has it: says nothing
        "modality": rng.uniform(0, 1, size).tolist(),
        "exact": rng.uniform(0, 1, size).tolist(),  # a monitor
    }
    parts["modality"][1] = parts["modality"][4] = None  # does not apply to these replies
    return parts


def gdpo_by_hand(batch: Batch, parts: dict[str, list[float | None]]) -> np.ndarray:
    """arXiv 2601.05242: per part and group, then weighed and summed, then over the batch."""
    total = np.zeros(len(batch.reward))
    for name, weight in WEIGHTS.items():
        for uid in dict.fromkeys(batch.groups[batch.real]):
            rows = [i for i in np.flatnonzero(batch.groups == uid) if parts[name][i] is not None]
            values = np.array([parts[name][i] for i in rows])
            deviation = np.sqrt(((values - values.mean()) ** 2).sum() / (len(values) - 1))
            total[rows] += weight * (values - values.mean()) / (deviation + EPSILON)
    kept = total[batch.real]
    deviation = np.sqrt(((kept - kept.mean()) ** 2).sum() / (len(kept) - 1))
    return np.where(batch.real, (total - kept.mean()) / (deviation + EPSILON), 0.0)


def parts_of(columns: dict[str, list[float | None]]) -> RewardParts:
    """As the trainer gives them: None becomes NaN, monitors are there and have no weight."""
    values = {name: np.array(column, dtype=np.float64) for name, column in columns.items()}
    return RewardParts(values, {name: weight for name, weight in WEIGHTS.items() if weight})


@pytest.mark.parametrize("seed", range(3))
def test_gdpo(batch, seed):
    estimators.register()
    parts = gdpo_parts(batch, seed)
    with parts_of_batch(parts_of(parts)):
        actual = verl_advantages("gdpo", batch)

    np.testing.assert_allclose(actual, per_token(gdpo_by_hand(batch, parts), batch), atol=1e-5)


def test_gdpo_outside_our_trainer_says_so(batch):
    estimators.register()
    with pytest.raises(TrainingError, check=coded("not-our-trainer")):
        verl_advantages("gdpo", batch)
