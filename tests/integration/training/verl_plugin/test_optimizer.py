"""The bf16 optimizer against AdamW in double precision, written in NumPy here (arXiv 1711.05101, algorithm 2)."""

import numpy as np
import pytest
import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from medix_r1.training.verl_plugin.optimizer import CompensatedAdamW, _stochastically_rounded

LR, DECAY, BETAS, EPS = 1e-6, 0.01, (0.9, 0.999), 1e-8
STEPS = 200


def adamw(weights: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    w, m, v = weights.copy(), np.zeros_like(weights), np.zeros_like(weights)
    for t, g in enumerate(gradients, start=1):
        m = BETAS[0] * m + (1 - BETAS[0]) * g
        v = BETAS[1] * v + (1 - BETAS[1]) * g**2
        w = w - LR * ((m / (1 - BETAS[0] ** t)) / (np.sqrt(v / (1 - BETAS[1] ** t)) + EPS) + DECAY * w)
    return w


def trained(optimizer_class: type, dtype: torch.dtype, start: np.ndarray, gradients: np.ndarray):
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=dtype))
    optimizer = optimizer_class([parameter], lr=LR, betas=BETAS, eps=EPS, weight_decay=DECAY)
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient, dtype=dtype)
        optimizer.step()
    return parameter, optimizer


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    start = torch.tensor(rng.normal(0, 0.02, 500), dtype=torch.bfloat16).double().numpy()
    gradients = rng.choice([-1.0, 1.0], 500)[None] * np.ones((STEPS, 1)) * 1e-3
    return start, gradients


def test_float32_is_adamw(problem):
    parameter, _ = trained(CompensatedAdamW, torch.float32, *problem)

    # 200 roundings of float32; the weights move by 2e-4
    np.testing.assert_allclose(parameter.detach().numpy(), adamw(*problem), atol=1e-6)


def test_small_updates_add_up_in_bfloat16(problem):
    start, _ = problem
    wanted = adamw(*problem) - start

    parameter, optimizer = trained(CompensatedAdamW, torch.bfloat16, *problem)
    rest = optimizer.state[parameter]["compensation"].double().numpy()
    moved = parameter.detach().double().numpy() + rest - start

    # within 5 %: the moments and the rest are rounded to bf16 too
    assert np.abs(moved - wanted).mean() < 0.05 * np.abs(wanted).mean()


def test_the_second_moment_falls_with_the_gradients_in_bfloat16():
    """Rounded to the nearest, it would stay three times too high: bf16 cannot take a thousandth away."""
    torch.manual_seed(0)
    gradients = np.concatenate([np.ones(400), np.full(1200, 0.1)])[:, None] * np.ones((1, 500))
    exact = 0.0
    for gradient in gradients[:, 0]:
        exact = BETAS[1] * exact + (1 - BETAS[1]) * gradient**2

    parameter, optimizer = trained(CompensatedAdamW, torch.bfloat16, np.zeros(500), gradients)
    stored = optimizer.state[parameter]["exp_avg_sq"].double().numpy()

    assert stored.mean() == pytest.approx(exact, rel=0.02)
    assert np.quantile(np.abs(stored / exact - 1), 0.95) < 0.15


def test_a_number_that_bfloat16_holds_is_not_rounded():
    numbers = torch.tensor([0.0, 1.0, 3.25, 1e-30]).bfloat16().float()

    assert torch.equal(_stochastically_rounded(numbers), numbers)


def test_a_sharded_parameter_is_updated_like_a_plain_one(problem, tmp_path):
    start, gradients = problem
    plain, _ = trained(CompensatedAdamW, torch.float32, start, gradients[:3])
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        parameter = torch.nn.Parameter(distribute_tensor(torch.tensor(start, dtype=torch.float32), mesh, [Shard(0)]))
        optimizer = CompensatedAdamW([parameter], lr=LR, betas=BETAS, eps=EPS, weight_decay=DECAY)
        for gradient in gradients[:3]:
            parameter.grad = distribute_tensor(torch.tensor(gradient, dtype=torch.float32), mesh, [Shard(0)])
            optimizer.step()
        assert torch.equal(parameter.full_tensor(), plain)
    finally:
        torch.distributed.destroy_process_group()


def test_torchs_own_adamw_loses_them(problem):
    """Why this optimizer exists."""
    parameter, _ = trained(torch.optim.AdamW, torch.bfloat16, *problem)

    stuck = parameter.detach().double().numpy() == problem[0]
    assert stuck.mean() > 0.8


def test_a_parameter_without_gradient_stays(problem):
    parameter = torch.nn.Parameter(torch.ones(2))
    CompensatedAdamW([parameter], lr=LR).step()

    assert parameter.tolist() == [1.0, 1.0]
