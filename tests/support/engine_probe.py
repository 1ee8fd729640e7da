"""Runs verl's FSDP engine on one CPU rank in a process of its own, with our YAML, and prints what it saw as JSON.

python -m tests.support.engine_probe MODEL_FOLDER [--padding=N] [--steps=N] [--stored] [override …]

With --stored, pictures are stored apart, as in a run.

A process of its own, because verl chooses its platform once, when it is imported. Real model, processor, FSDP2, loss
and optimizer; only Ray, vLLM and the judge are left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

QUESTIONS = ("Which view is this?", "Which body part is shown?", "What is shown?", "Which modality is this?")


ENVIRONMENT = {
    **os.environ,
    "VERL_PLATFORM": "cpu",
    "TORCHDYNAMO_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "VERL_USE_EXTERNAL_MODULES": "medix_r1.training.verl_plugin.plugin",
}


def probe(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run the probe and return what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.support.engine_probe", str(folder), *arguments],
        cwd=Path(__file__).parents[2],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout.splitlines()[-1])


def rows(engine: Any, processor: Any, padding: int) -> Any:
    """Four rows with a picture each, and `padding` rows as verl makes them (verl/trainer/ppo/padding_utils.py)."""
    import numpy as np
    import torch
    from PIL import Image
    from tensordict.tensorclass import NonTensorStack
    from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
    from verl.trainer.ppo.padding_utils import build_padding_position_ids
    from verl.utils import tensordict_utils

    rng = np.random.default_rng(0)
    columns: dict[str, list[torch.Tensor]] = {}
    images: list[dict[str, torch.Tensor]] = []
    for number in range(len(QUESTIONS) + padding):
        real = number < len(QUESTIONS)
        if real:
            content = [{"type": "image"}, {"type": "text", "text": QUESTIONS[number]}]
            text = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            picture = Image.fromarray(rng.integers(0, 255, (96, 96, 3), dtype=np.uint8))
            inputs = dict(processor(text=[text], images=[picture], return_tensors="pt"))
            prompt, length = inputs.pop("input_ids")[0], 3 + number
            inputs.pop("attention_mask")
        else:
            prompt, length, inputs = torch.full((127,), processor.tokenizer.eos_token_id), 1, {}
        response = torch.tensor(rng.integers(20, 200, length) if real else [processor.tokenizer.eos_token_id])
        ids = torch.cat([prompt, response])
        if real:
            position = AgentLoopWorker._compute_position_ids(
                SimpleNamespace(processor=processor), ids[None], torch.ones_like(ids)[None], inputs
            )[0]
        else:
            position = build_padding_position_ids(columns["position_ids"][0], torch.ones_like(ids))
        mask = torch.full((length,), int(real))
        row = {
            "input_ids": ids,
            "position_ids": position,
            "prompts": prompt,
            "responses": response,
            "response_mask": mask,
            "loss_mask": mask,
            "old_log_probs": torch.full((length,), -1.0),
            "advantages": torch.full((length,), 1.0 if number % 2 else -0.5) * mask,
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
        images.append(inputs)
    nested = {
        name: tensordict_utils.nested_tensor_from_tensor_list(values, ragged_idx=values[0].dim())
        for name, values in columns.items()
    }
    settings = {
        "temperature": 1.0,
        "use_dynamic_bsz": False,
        "micro_batch_size_per_gpu": 1,
        "use_remove_padding": engine.model_config.use_remove_padding,
        "global_batch_size": len(images),  # what verl's trainer says: padding included
    }
    data = tensordict_utils.get_tensordict(nested, settings)
    data["multi_modal_inputs"] = NonTensorStack(*images)
    return data


def store_pictures(engine: Any, data: Any) -> None:
    """Put references in place of the features, and give the engine's reader the pixels that they stand for."""
    import numpy as np
    import torch
    from tensordict.tensorclass import NonTensorStack

    from medix_r1.training.verl_plugin.patches.shared_images import PICTURES
    from medix_r1.training.verl_plugin.pictures import StoredPictures

    rng, pixels, images = np.random.default_rng(0), {}, []
    for number, inputs in enumerate(getattr(row, "data", row) for row in data["multi_modal_inputs"]):
        key, drawn = f"row{number}", rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        rng.integers(20, 200, 3 + number)  # the reply, drawn from the same stream
        pixels[key] = torch.from_numpy(drawn.reshape(-1))
        rest = {name: value for name, value in inputs.items() if not name.startswith("pixel_")}
        features = tuple(inputs.keys() - rest.keys())
        images.append({**rest, PICTURES: StoredPictures(key, ((96, 96),), features, {}).to_verl()})
    data["multi_modal_inputs"] = NonTensorStack(*images)
    engine._pictures.fetch = lambda prompts: {key: pixels[key] for key in prompts}


def composed(folder: str, overrides: list[str]) -> Any:
    """The config of the probe."""
    from medix_r1.config import compose_train

    return compose_train(
        [
            "experiment=nano_cpu",
            f"actor_rollout_ref.model.path={folder}",
            "actor_rollout_ref.actor.optim.lr=1e-3",
            *overrides,
        ]
    )


def build_engine(folder: str, overrides: list[str]) -> tuple[Any, Any, Any]:
    """verl's engine with our settings, the model's and the actor's; the process group has to be there."""
    import torch
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.engine import EngineRegistry

    config = composed(folder, overrides)
    torch.manual_seed(0)  # adapters start from random numbers
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    engine = EngineRegistry.new(
        model_type="language_model",
        backend=actor.strategy,
        model_config=model,
        engine_config=actor.engine,
        optimizer_config=actor.optim,
        checkpoint_config=actor.checkpoint,
    )
    engine.initialize()
    return engine, model, actor


def aggregated(metric: Any) -> float:
    """A metric of a micro-batch each, over the mini-batch."""
    parts = metric if isinstance(metric, list) else [metric]
    return float(sum(part.aggregate() if hasattr(part, "aggregate") else part for part in parts))


def main() -> None:
    folder, *rest = sys.argv[1:]
    options = {"padding": 0, "steps": 1, "stored": 0}
    while rest and rest[0].startswith("--"):
        name, _, value = rest.pop(0).removeprefix("--").partition("=")
        options[name] = int(value or 1)
    import torch
    import torch.distributed
    from verl.utils import tensordict_utils
    from verl.workers.utils.losses import ppo_loss

    from medix_r1.training.verl_plugin.looking.asking import SETTINGS
    from medix_r1.training.verl_plugin.looking.loss import LookingLoss

    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    engine, model, actor = build_engine(folder, rest)

    def weights() -> dict[str, torch.Tensor]:
        return {name: p.detach().full_tensor().clone() for name, p in engine.module.named_parameters()}

    before = weights()
    for _ in range(options["steps"]):
        data = rows(engine, model.processor, options["padding"])
        if options["stored"]:
            store_pictures(engine, data)
        if (settings := LookingLoss.of(composed(folder, rest).looking_loss)) is not None:
            tensordict_utils.assign_non_tensor(data, **{SETTINGS: settings.to_text()})
        with engine.train_mode():
            output = engine.train_batch(data, partial(ppo_loss, config=actor))
        engine.lr_scheduler_step()
    after = weights()
    moved = {name: float((value != before[name]).float().mean()) for name, value in after.items()}
    report = {
        "engine": [cls.__name__ for cls in type(engine).__mro__[:6]],
        "grad_norm": float(output["metrics"]["grad_norm"]),
        "loss": float(sum(output["loss"])) if isinstance(output["loss"], list) else float(output["loss"]),
        **{
            name: aggregated(value)
            for name, value in output["metrics"].items()
            if name.startswith(("looking_", "actor/pg_loss"))
        },
        "changed": sorted(name for name, share in moved.items() if share),
        "same": sorted(name for name, share in moved.items() if not share),
        "moved": moved,
        "dtypes": {name: str(value.dtype) for name, value in after.items()},
        "sent": {name: list(tensor.shape) for name, tensor in engine.get_per_tensor_param()[0]},
    }
    sys.stdout.write(f"\n{json.dumps(report)}\n")


if __name__ == "__main__":
    main()
