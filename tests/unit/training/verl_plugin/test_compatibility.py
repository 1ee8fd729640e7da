"""Everything of verl, vLLM, TransferQueue and Ray that this package patches, subclasses, registers with or calls.

A new version fails here by the symbol's name, before it fails somewhere in a training run.
"""

import ast
import dataclasses
import importlib
import importlib.util
import inspect
import json
import pkgutil
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[4] / "medix_r1"
THEIRS = ("verl", "vllm", "transfer_queue", "ray")
TRAINER = "verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync"
ASYNC_TRAINER = "verl.trainer.ppo.v1.trainer_colocate_async:PPOTrainerColocateAsync"
BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer"
ASYNC_BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBufferAsync"
ENGINE = "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead"

# symbol -> the parameters that we pass or override (None: not a function, or its parameters do not matter to us)
SYMBOLS = {
    # trainer.py
    f"{TRAINER}.__init__": ["self", "config"],
    f"{TRAINER}._build_replay_buffer": ["self"],
    f"{TRAINER}._fetch_one_gen_batch": ["self"],
    f"{TRAINER}.step": ["self", "metrics", "timing_raw"],
    f"{TRAINER}.fit": ["self", "agent_loop_manager"],
    f"{TRAINER}._reissue_inflight_prompts": ["self", "partition_id"],
    f"{TRAINER}.on_train_begin": ["self"],
    f"{TRAINER}.on_step_end": ["self"],
    f"{TRAINER}.on_train_end": ["self"],
    f"{TRAINER}._compute_metrics": ["self", "batch", "metrics", "timing_raw", "global_steps", "epoch"],
    f"{TRAINER}._save_checkpoint": ["self"],
    f"{TRAINER}._validate": ["self"],
    f"{TRAINER}._val_metrics_update": [
        *("self", "data_sources", "sample_uids", "reward_extra_infos_dict", "sample_turns", "expected_acc_counts")
    ],
    f"{TRAINER}._compute_advantage": ["self", "batch", "metrics"],
    f"{TRAINER}.on_sample_end": ["self"],
    f"{ASYNC_TRAINER}.on_sample_end": ["self"],
    f"{ASYNC_TRAINER}.on_train_begin": ["self"],
    "verl.trainer.ppo.v1.trainer_base:PPOTrainer": None,
    "verl.trainer.ppo.v1.trainer_base:register_trainer": ["name"],
    "verl.utils.tensordict_utils:assign_non_tensor_stack": ["tensor_dict", "key", "val"],
    # sampler.py, rollouts.py
    f"{BUFFER}.__init__": [
        *("self", "trainer_mode", "trainer_config", "max_off_policy_threshold", "max_off_policy_strategy"),
        *("sampler_kwargs", "poll_interval", "refill_fn", "filter_groups_metric", "train_batch_size"),
        *("gen_batch_size", "max_inflight_gen_batches", "sync_refill_failed_groups"),
    ],
    f"{BUFFER}.sample": ["self", "global_steps", "partition_id", "batch_size"],
    f"{BUFFER}._dapo_filtered_keys": ["self", "partition_id"],
    f"{BUFFER}._wait_for_next_poll": ["self", "partition_id", "last_debug_time"],
    f"{BUFFER}._sync_metadata_from_transfer_queue": ["self"],
    f"{BUFFER}._clear_groups": ["self", "partition_id", "uids"],
    f"{ASYNC_BUFFER}._materialize_batch": ["self", "partition_id", "selected_prompt_uids", "partition_snapshot"],
    f"{ASYNC_BUFFER}.sample": ["self", "global_steps", "partition_id", "batch_size"],
    "transfer_queue:kv_batch_get": ["keys", "partition_id", "select_fields"],
    "transfer_queue:kv_batch_put": ["keys", "partition_id", "fields", "tags", "data_parser"],
    "transfer_queue:kv_clear": ["keys", "partition_id"],
    "transfer_queue:KVBatchMeta.reorder": ["self", "indexes"],
    # gdpo.py
    "verl.trainer.ppo.core_algos:register_adv_est": ["name_or_enum"],
    # engine.py
    f"{ENGINE}._build_module": ["self"],
    f"{ENGINE}._build_lora_module": ["self", "module"],
    f"{ENGINE}.forward_backward_batch": ["self", "data", "loss_function", "forward_only"],
    f"{ENGINE}.get_data_parallel_group": ["self"],
    "verl.utils.tensordict_utils:assign_non_tensor": ["tensor_dict", "kwargs"],
    "verl.utils.device:get_device_id": [],
    # agent_loop.py
    "verl.experimental.agent_loop.single_turn_agent_loop:SingleTurnAgentLoop.run": [
        *("self", "sampling_params", "priority", "kwargs"),
    ],
    "verl.experimental.agent_loop.single_turn_agent_loop:SingleTurnAgentLoop.ct_build_initial_tokens": None,
    "verl.experimental.agent_loop.single_turn_agent_loop:SingleTurnAgentLoop.process_multi_modal_info": [
        *("self", "messages"),
    ],
    "verl.experimental.agent_loop.agent_loop:register": ["agent_name"],
    # shared_images.py
    "verl.experimental.agent_loop.agent_loop:AgentLoopWorker._compute_multi_modal_inputs": [
        *("self", "output", "input_ids"),
    ],
    # reward_manager.py
    "verl.experimental.reward_loop.reward_manager:register": ["name"],
    "verl.experimental.reward_loop.reward_manager.base:RewardManagerBase.__init__": [
        *("self", "config", "tokenizer", "compute_score"),
    ],
    "verl.experimental.reward_loop.reward_manager.base:RewardManagerBase.run_single": ["self", "data"],
    # position_ids.py
    "verl.utils.transferqueue_utils:_async_meta_to_realdata": ["meta"],
    "verl.utils.tensordict_utils:nested_tensor_from_tensor_list": ["tensors", "ragged_idx"],
    "verl.utils.tensordict_utils:maybe_fix_3d_position_ids": None,
    # liveness.py, scorer.py
    "ray:get": None,
    "ray:wait": ["ray_waitables", "num_returns", "timeout", "fetch_local"],
    "ray:kill": ["actor", "no_restart"],
    "ray:remote": None,
    "ray:get_runtime_context": [],
    "ray.exceptions:ActorUnavailableError": None,
    "ray.exceptions:RayActorError": None,
    "verl.workers.rollout.llm_server:LLMServerManager.get_replicas": ["self"],
    # driver.py
    "verl.trainer.main_ppo:run_ppo": ["config", "task_runner_class"],
    "verl.trainer.main_ppo:TaskRunnerV1.__ray_metadata__.modified_class.run": ["self", "config"],
    "verl.trainer.ppo.utils:need_critic": ["config"],
    "verl.trainer.ppo.utils:need_reference_policy": ["config"],
    "verl.utils.config:validate_config": ["config", "use_reference_policy", "use_critic"],
    "verl.utils.device:auto_set_device": ["config"],
    # cpu/
    "verl.plugin.platform:PlatformBase": None,
    "verl.plugin.platform:PlatformBase.is_platform_available": ["self", "use_smi_check"],
    "verl.plugin.platform:PlatformBase.ray_resource_options": ["self", "num_gpus"],
    "verl.plugin.platform:PlatformBase.rollout_env_vars": ["self"],
    "verl.plugin.platform:PlatformRegistry.register": ["platform"],
    "verl.utils.distributed:initialize_global_process_group": ["timeout_second"],
    "verl.utils.distributed:initialize_global_process_group_ray": ["timeout_second", "backend"],
    "verl.workers.engine:EngineRegistry.register": ["model_type", "backend", "device", "vendor"],
    "verl.workers.engine.fsdp.transformer_impl:CPUOffloadPolicy": None,
    "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead._build_fsdp_module": ["self", "module"],
    "verl.workers.rollout.replica:RolloutReplicaRegistry.register": ["name", "loader"],
    "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMHttpServer._get_worker_extension_cls": ["self"],
    "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMReplica.__init__": None,
    "verl.workers.rollout.vllm_rollout.utils:vLLMColocateWorkerExtension.__new__": ["cls", "kwargs"],
    "vllm.distributed.device_communicators.shm_broadcast:sched_yield": [],
    "vllm.model_executor.layers.utils:dispatch_cpu_unquantized_gemm": ["layer", "remove_weight"],
    # what its errors and actors are made of
    "ray.exceptions:RayTaskError.as_instanceof_cause": ["self"],
}

# Text that must stand in a function's source, because we set or replace what it reads by name.
READ_BY_NAME = {
    "vllm.distributed.device_communicators.shm_broadcast:SpinCondition.wait": "sched_yield()",
    "vllm.plugins:load_general_plugins": "DEFAULT_PLUGINS_GROUP",
    "verl.utils.tracking:FileLogger.__init__": "VERL_FILE_LOGGER_PATH",
    "verl.utils.tracking:_TensorboardAdapter.__init__": "TENSORBOARD_DIR",
    "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead._build_fsdp_module": "CPUOffloadPolicy(",
    "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMReplica.launch_servers": "self.server_class.options(",
    "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMReplica.__init__": "self.server_class = ",
    "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMHttpServer.launch_server": (
        "self._get_worker_extension_cls()"
    ),
    "vllm.model_executor.layers.linear:UnquantizedLinearMethod.process_weights_after_loading": (
        "from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm"
    ),
    "ray.actor:_modify_class": "def __ray_ready__(self)",
    f"{TRAINER}._build_replay_buffer": "custom_sampler",
    f"{TRAINER}._save_checkpoint": "global_step_",
    f"{TRAINER}._reissue_inflight_prompts": 'tag.get("status") in ("pending", "running")',
    f"{TRAINER}.fit": "self.on_train_begin()",
    f"{TRAINER}._add_prompts_to_generate": "_next_train_batch",
    f"{TRAINER}._next_train_batch": "self._fetch_one_gen_batch()",
    f"{BUFFER}._terminal_eviction_reasons": "self._dapo_filtered_keys(partition_id)",
    f"{BUFFER}.sample": "_wait_for_next_poll(",
    f"{ASYNC_BUFFER}.wait_for_sampleable": "_wait_for_next_poll(",
    f"{ASYNC_BUFFER}.sample": "return self._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)",
    f"{ENGINE}.forward_backward_batch": 'data["loss_mask"].sum()',
    "verl.workers.utils.losses:ppo_loss": 'config.global_batch_info["global_batch_size"] = data["global_batch_size"]',
    "verl.workers.engine:EngineRegistry.get_engine_cls": "vendor_key = (device, vendor)",
    f"{TRAINER}._compute_advantage": "config=self.config.algorithm",
}

ATTRIBUTES = {
    TRAINER: [
        *("self.config", "self.trainer_mode", "self.global_steps", "self.train_dataloader", "self.replay_buffer"),
        *("self.on_sample_end()", "self.train_dataloader.state_dict()", '"data.pt"'),
    ],
    BUFFER: [
        *("self.partitions", "self.running_keys", "self.finished_keys", "self._dapo_classification_cache"),
        *("self.refill_fn", "self.prompt_global_steps"),
    ],
    "verl.experimental.reward_loop.reward_manager.base:RewardManagerBase": ["self.tokenizer = tokenizer"],
    # liveness.py
    "verl.trainer.ppo.v1.trainer_base:PPOTrainer": [
        *("self.actor_rollout_wg = ", "self.reward_loop_manager = RewardLoopManager(", "self.llm_server_manager"),
    ],
    "verl.trainer.ppo.v1.agent_loop_tq:AgentLoopManagerTQ": ["self.agent_loop_workers.append("],
    "verl.workers.rollout.replica:RolloutReplica": [
        *("self.replica_rank = ", "self.servers: list[ActorHandle]", "def server_address(self)"),
    ],
    "verl.experimental.reward_loop.reward_model:RewardModelManager": ["self.rollout_replicas = "],
    # judge=verl: what decides whether our manager is asked, and that it gets the router's address
    "verl.experimental.reward_loop.reward_loop:RewardLoopWorker": [
        "if self.config.reward.custom_reward_function.path is not None:",
        "reward_router_address=self.reward_router_address",
    ],
    "verl.experimental.reward_loop.reward_loop:RewardLoopManager": [
        "not self.config.reward.reward_model.enable or self.config.reward.reward_model.enable_resource_pool",
        *("self.reward_loop_workers.append(", "self.reward_model_manager = None"),
    ],
}


def resolve(symbol: str):
    module, _, path = symbol.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    return found


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_symbol(symbol):
    found = resolve(symbol)

    if SYMBOLS[symbol] is not None:
        parameters = inspect.signature(inspect.unwrap(found)).parameters
        names = [name for name in parameters if name != "args" and not name.startswith("_ray_")]  # Ray adds its own
        assert names == SYMBOLS[symbol]


@pytest.mark.parametrize("symbol", READ_BY_NAME)
def test_what_is_read_by_name(symbol):
    assert READ_BY_NAME[symbol] in inspect.getsource(resolve(symbol))


@pytest.mark.parametrize("symbol", ATTRIBUTES)
def test_attributes_we_read(symbol):
    source = "".join(inspect.getsource(cls) for cls in resolve(symbol).__mro__ if cls.__module__.startswith("verl."))

    assert [name for name in ATTRIBUTES[symbol] if name not in source] == []


def test_the_fields_of_a_batch():
    fields = {field.name for field in dataclasses.fields(resolve("transfer_queue:KVBatchMeta"))}

    assert {"keys", "tags", "partition_id", "extra_info"} <= fields


def test_no_symbol_of_theirs_is_used_without_standing_in_the_table():
    named = {symbol.partition(":")[0] for symbol in (*SYMBOLS, *READ_BY_NAME)}
    named |= {f"{module}.{path.split('.')[0]}" for module, _, path in (symbol.partition(":") for symbol in SYMBOLS)}
    used = set().union(*(_used(path) for path in (PACKAGE / "training").rglob("*.py")))
    theirs = {name for name in used if name.split(".")[0] in THEIRS}

    assert {name.split(".")[0] for name in theirs} == set(THEIRS)
    assert sorted(theirs - named) == []


def _used(path: Path) -> set[str]:
    """Names that a file imports; of a package imported as a whole (`import ray`) what is read from it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    whole, used = {}, set()
    for node in nodes:
        if isinstance(node, ast.Import):
            whole |= {alias.asname or alias.name: alias.name for alias in node.names if "." not in alias.name}
            used |= {alias.name for alias in node.names if "." in alias.name}
        elif isinstance(node, ast.ImportFrom) and node.module:
            used |= {f"{node.module}.{alias.name}" for alias in node.names}
    for node in nodes:
        root, _, rest = ast.unparse(node).partition(".") if isinstance(node, ast.Attribute) else ("", "", "")
        if root in whole and rest.replace(".", "").isidentifier():
            used.add(f"{whole[root]}.{rest}")
    return used


def test_every_override_stands_in_the_table():
    """But of abstract methods: without ours the class cannot be made, which the next test sees."""
    overrides, missing = 0, set()
    for cls in _our_classes():
        foreign = [base for base in cls.__mro__ if base.__module__.split(".")[0] in THEIRS]
        ours = [base for base in cls.__mro__ if base.__module__.startswith("medix_r1.")]
        for name in set().union(*map(_methods, ours)) & set().union(*map(vars, foreign)):
            overrides += 1
            listed = [resolve(symbol) for symbol in SYMBOLS if symbol.endswith(f".{name}")]
            abstract = any(name in getattr(base, "__abstractmethods__", ()) for base in foreign)
            if not abstract and getattr(foreign[0], name) not in listed:
                missing.add(f"{cls.__name__}.{name}")

    assert overrides
    assert sorted(missing) == []


def _our_classes() -> list[type]:
    """Our classes in `medix_r1.training` that derive from one of theirs."""
    found = []
    for module in pkgutil.walk_packages([str(PACKAGE / "training")], "medix_r1.training."):
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and value.__module__ == module.name:
                found += [value] if any(base.__module__.split(".")[0] in THEIRS for base in value.__mro__) else []
    return found


def _methods(cls: type) -> set[str]:
    kinds = (property, staticmethod, classmethod)
    return {name for name, value in vars(cls).items() if inspect.isfunction(value) or isinstance(value, kinds)}


def test_our_classes_are_still_complete():
    """A new abstract method of a base class would show only when verl builds ours."""
    from medix_r1.training.verl_plugin.cpu.platform import CpuPlatform
    from medix_r1.training.verl_plugin.reward_manager import CompositeRewardManager
    from medix_r1.training.verl_plugin.trainer import COLOCATE_ASYNC_MODE, MODE, MedixColocateAsyncTrainer, MedixTrainer

    for cls in (CpuPlatform, CompositeRewardManager, MedixTrainer, MedixColocateAsyncTrainer):
        assert not inspect.isabstract(cls), cls.__abstractmethods__
    trainer_of = resolve("verl.trainer.ppo.v1.trainer_base:get_trainer_cls")
    assert (trainer_of(MODE), trainer_of(COLOCATE_ASYNC_MODE)) == (MedixTrainer, MedixColocateAsyncTrainer)


def test_our_overrides_override_something():
    from medix_r1.training.verl_plugin.engine import MedixEngine
    from medix_r1.training.verl_plugin.sampler import MedixAsyncSampler, MedixSampler, MedixSamplerMixin
    from medix_r1.training.verl_plugin.trainer import MedixColocateAsyncTrainer, MedixTrainer, MedixTrainerMixin

    own = {
        "_keeping_what_is_finished",
        "_save_finished_step",
        "ask_again_after_outage",
        "forget_prompts_after",
        "_refill",
        "_groups",
        "_values",
        "_waited",
        "write_advantages",
    }
    own |= {"_write_advantages", "_stop_here"}
    own |= {"_vision_is_frozen", "_sequences_with_loss"}
    pairs = [(MedixTrainerMixin, MedixTrainer), (MedixTrainerMixin, MedixColocateAsyncTrainer)]
    pairs += [(MedixSamplerMixin, MedixSampler), (MedixSamplerMixin, MedixAsyncSampler), (MedixEngine, MedixEngine)]
    for ours, cls in pairs:
        base = cls.__bases__[-1]
        methods = {name for name, value in vars(ours).items() if inspect.isfunction(value)}
        assert {name for name in methods - own if not hasattr(base, name)} == set()


def test_the_list_of_verls_fields_is_that_of_the_installed_verl():
    # by its path: an installed distribution has a package called `scripts` too
    spec = importlib.util.spec_from_file_location("update", PACKAGE.parent / "scripts" / "update_verl_fields.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    stored = json.loads((PACKAGE / "verl_fields.json").read_text(encoding="utf-8"))
    assert stored == script.verl_fields(), "run: python scripts/update_verl_fields.py"


def test_verl_loads_our_plugin():
    from importlib.metadata import entry_points

    found = {point.value for point in entry_points(group="verl.plugins")}
    assert "medix_r1.training.verl_plugin.plugin" in found
    assert importlib.util.find_spec("medix_r1.training.verl_plugin.plugin") is not None
