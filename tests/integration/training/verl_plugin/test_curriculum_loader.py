"""A curriculum in the data loader that verl makes: filtered rows, names of prompts, and exact states."""

from __future__ import annotations

import io
from itertools import chain
from types import SimpleNamespace
from typing import Any

import datasets
import pytest
import torch
import transfer_queue
from verl.trainer.ppo.v1 import trainer_base
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from medix_r1.training.verl_plugin.curriculum.loading import CurriculumRows
from tests.support.configs import set_in

RATES: list[float | None] = [0.0, 0.25, 0.5, 0.75, 1.0] * 4


class Rows:
    """Stands for verl's RLHFDataset, which reads its rows from `dataframe`."""

    def __init__(self, rates: list[float | None]) -> None:
        self.dataframe = datasets.Dataset.from_list(
            [{"number": number, "extra_info": {"difficulty": rate}} for number, rate in enumerate(rates)]
        )

    def __len__(self) -> int:
        return len(self.dataframe)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {"raw_prompt": [], "number": torch.tensor(self.dataframe[place]["number"])}


class Trainer(CurriculumRows, PPOTrainer):
    def __init__(self, config: Any) -> None:
        self.config, self.trainer_mode, self.parameter_sync_step = config, "sync", 1
        self.tokenizer = self.processor = None
        self.observed: dict[str, list[float]] = {}
        self.replay_buffer = SimpleNamespace(take_observed=lambda: self.observed)
        self._init_dataloader()

    def on_step_end(self) -> None: ...

    def on_sample_end(self) -> None: ...

    def train(self, steps: range) -> list[list[int]]:
        """Draw, name and learn: odd rows are always right, even ones sometimes."""
        drawn = []
        for step in steps:
            numbers = self._fetch_one_gen_batch()["number"].tolist()
            uids = [f"step{step:06d}-prompt{place:06d}" for place in range(len(numbers))]
            if self._curriculum is not None:
                self._curriculum.name(uids)
            self.observed = {uid: [1.0, float(number % 2)] for uid, number in zip(uids, numbers, strict=True)}
            self._learn()
            drawn.append(numbers)
        return drawn


@pytest.fixture(autouse=True)
def rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_base, "create_rl_dataset", lambda files, *args, **kwargs: Rows(RATES))
    monkeypatch.setattr(transfer_queue, "kv_list", lambda partition: {})


def made(**values: Any) -> Trainer:
    config = set_in("experiment=nano_cpu", **({"data.train_batch_size": 4, "data.val_batch_size": 4} | values))
    return Trainer(config)


def test_without_a_curriculum_verl_draws() -> None:
    trainer = made()

    assert trainer._curriculum is None
    assert sorted(chain(*trainer.train(range(5)))) == list(range(20))


def test_a_band_leaves_rows_out_of_training_alone() -> None:
    trainer = made(**{"data.curriculum.band": [0.25, 0.75]})

    drawn = chain(*trainer.train(range(3)))

    assert trainer.steps_per_epoch == 3
    assert sorted(drawn) == [number for number, rate in enumerate(RATES) if rate is not None and 0.25 <= rate <= 0.75]
    assert len(trainer.val_dataset) == 20


@pytest.mark.parametrize("band", [None, [0.25, 1.0]])
@pytest.mark.parametrize("weigh", ["none", "difficulty", "adapt"])
@pytest.mark.parametrize("steps", [0, 2, 4, 7])
def test_a_resumed_loader_draws_what_the_other_would_have(weigh: str, band: Any, steps: int) -> None:
    """Through a file, as a checkpoint has it, also at the end of a pass."""
    values = {"data.curriculum.weigh": weigh, "data.curriculum.band": band}
    trainer = made(**values)
    trainer.train(range(steps))
    file = io.BytesIO()
    torch.save(trainer.train_dataloader.state_dict(), file)
    expected = trainer.train(range(steps, steps + 6))

    again = made(**values)
    again.train_dataloader.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=False))

    assert again.train(range(steps, steps + 6)) == expected


def test_the_order_is_that_of_the_seed() -> None:
    orders = [made(**{"data.curriculum.weigh": "adapt", "data.seed": seed}).train(range(5)) for seed in (1, 1, 2)]

    assert orders[0] == orders[1] != orders[2]
