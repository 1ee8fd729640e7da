"""Everything of verl, vLLM, TransferQueue, Ray, Hydra and inspect that we derive from, replace, call or read by name.

A row says what of theirs it is, what we do with it and what must hold; it stands under the file of ours that does it. A
new version fails by the row's name and points at that file (test_compatibility.py). What is used and is no row fails
too, as far as scan.py can see it: rows of the kind `reads`, and names on objects whose class no scan knows, are written
by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

TRAINER = "verl.trainer.ppo.v1.trainer_sync:PPOTrainerSync"
ASYNC_TRAINER = "verl.trainer.ppo.v1.trainer_colocate_async:PPOTrainerColocateAsync"
BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBuffer"
ASYNC_BUFFER = "verl.trainer.ppo.v1.replay_buffer:ReplayBufferAsync"
ENGINE = "verl.workers.engine.fsdp.transformer_impl:FSDPEngineWithLMHead"
LOOP = "verl.experimental.agent_loop.single_turn_agent_loop:SingleTurnAgentLoop"
MANAGER = "verl.experimental.reward_loop.reward_manager.base:RewardManagerBase"
PLATFORM = "verl.plugin.platform:PlatformBase"
SERVER = "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMHttpServer"
REPLICA = "verl.workers.rollout.vllm_rollout.vllm_async_server:vLLMReplica"
API = "inspect_ai.model._providers.openai_compatible:OpenAICompatibleAPI"
SWEEPER = "hydra._internal.core_plugins.basic_sweeper:BasicSweeper"

PLUGIN = "medix_r1/training/verl_plugin/"
SIMULATION = "medix_r1/training/simulation/"


@dataclass(frozen=True)
class Use:
    """One use.

    Attributes:
        how: `subclassed`, `overridden`, `replaced`, `called`, `read` (an attribute, by its name), `matched` (a text of
            theirs that we look for), or `reads` (they read by name what we set).
        theirs: `module:name`, or a module, or `package/path` of a file that is no module.
        parameters: names of its parameters, in order; None where they do not matter to us.
        text: what must stand in its source; of a class, in that of its bases from the same package too.
    """

    how: str
    theirs: str
    parameters: tuple[str, ...] | None = None
    text: str | None = None

    @property
    def name(self) -> str:
        return self.theirs.replace(":", ".")


def subclassed(theirs: str) -> list[Use]:
    return [Use("subclassed", theirs)]


def overridden(owner: str, **methods: str) -> list[Use]:
    """Methods of a class with the parameters that ours take after `self`; the texts are split at spaces."""
    return [Use("overridden", f"{owner}.{name}", ("self", *names.split())) for name, names in methods.items()]


def replaced(theirs: str, parameters: str | None = None) -> list[Use]:
    return [Use("replaced", theirs, None if parameters is None else tuple(parameters.split()))]


def called(theirs: str, parameters: str | None = None) -> list[Use]:
    return [Use("called", theirs, None if parameters is None else tuple(parameters.split()))]


def read(owner: str, *texts: str) -> list[Use]:
    """Attributes of objects of a class, each by a text that shows where the class gives it."""
    return [Use("read", owner, text=text) for text in texts]


def matched(theirs: str, *texts: str) -> list[Use]:
    return [Use("matched", theirs, text=text) for text in texts]


def reads(theirs: str, *texts: str) -> list[Use]:
    return [Use("reads", theirs, text=text) for text in texts]


USES: dict[str, list[Use]] = {
    f"{PLUGIN}trainer.py": [
        *subclassed(TRAINER),
        *subclassed(ASYNC_TRAINER),
        *overridden(
            TRAINER,
            __init__="config",
            _build_replay_buffer="",
            fit="agent_loop_manager",
            _fetch_one_gen_batch="",
            step="metrics timing_raw",
            _compute_metrics="batch metrics timing_raw global_steps epoch",
            _compute_old_log_prob="batch metrics",
            _update_actor="batch metrics",
            on_train_begin="",
            on_step_begin="",
            on_step_end="",
            on_train_end="",
            _reissue_inflight_prompts="partition_id",
            _save_checkpoint="",
            _validate="",
        ),
        *overridden(ASYNC_TRAINER, on_train_begin=""),
        *called(f"{TRAINER}.on_sample_end", "self"),
        *called(f"{ASYNC_TRAINER}.on_sample_end", "self"),
        *called("verl.trainer.ppo.v1.trainer_base:register_trainer", "name"),
        *called("verl.utils.tensordict_utils:assign_non_tensor_stack", "tensor_dict key val"),
        *called("transfer_queue:kv_list", "partition_id"),
        *called("transfer_queue:kv_batch_get", "keys partition_id select_fields"),
        *read("transfer_queue:KVBatchMeta", "keys: list", "tags: list", "partition_id: ", "extra_info: "),
        *read(
            TRAINER,
            "self.config",
            "self.global_steps",
            "self.replay_buffer",
            "self.checkpoint_manager: CheckpointEngineManager = ",
        ),
        *read(TRAINER, "self.total_training_steps", "self.train_dataloader.state_dict()", '"data.pt"'),
        *called("verl.checkpoint_engine:CheckpointEngineManager.abort_replicas"),
        *reads(f"{TRAINER}._build_replay_buffer", "custom_sampler", "self.trainer_mode"),
        *reads(f"{TRAINER}._save_checkpoint", "global_step_", 'self.trainer_mode != "sync"'),
        *reads(f"{TRAINER}._reissue_inflight_prompts", 'tag.get("status") in ("pending", "running")'),
        *reads(f"{TRAINER}.fit", "self.on_train_begin()", "self.total_training_steps"),
        *reads(f"{TRAINER}._add_prompts_to_generate", "_next_train_batch"),
        *reads(f"{TRAINER}._next_train_batch", "self._fetch_one_gen_batch()"),
    ],
    f"{PLUGIN}patches/reward_parts.py": [
        *subclassed("verl.trainer.ppo.v1.trainer_base:PPOTrainer"),
        *overridden(TRAINER, _compute_advantage="batch metrics"),
        *read(TRAINER, "self.config"),
        *reads(f"{TRAINER}._compute_advantage", "config=self.config.algorithm"),
    ],
    f"{PLUGIN}curriculum/loading.py": [
        *subclassed("verl.trainer.ppo.v1.trainer_base:PPOTrainer"),
        *overridden(TRAINER, _init_dataloader=""),
        *called("transfer_queue:kv_list", "partition_id"),
        *read(TRAINER, "self.config", "self.replay_buffer"),
        *reads(f"{TRAINER}._init_dataloader", "self.train_dataset = create_rl_dataset(", "is_train=True"),
        *reads(f"{TRAINER}._init_dataloader", "create_rl_sampler(self.config.data, self.train_dataset)"),
        *read("verl.utils.dataset.rl_dataset:RLHFDataset", "self.dataframe[item]"),
    ],
    f"{PLUGIN}looking/validation.py": [
        *subclassed("verl.trainer.ppo.v1.trainer_base:PPOTrainer"),
        *overridden(
            TRAINER,
            _val_metrics_update="data_sources sample_uids reward_extra_infos_dict sample_turns expected_acc_counts",
            _maybe_log_val_generations="inputs outputs scores",
            _dump_generations="inputs outputs gts scores reward_extra_infos_dict dump_path",
        ),
        *called(f"{TRAINER}._validate", "self"),
        *read(TRAINER, "self.config", "self.replay_buffer", "self.val_dataset = ", "self.val_dataloader = "),
        # all that it logs and writes goes through what is overridden, and its rows come from the loader
        *reads(f"{TRAINER}._validate", "in self.val_dataloader:", "self._val_metrics_update("),
        *reads(f"{TRAINER}._validate", "self._maybe_log_val_generations(", "self._dump_generations("),
    ],
    f"{PLUGIN}looking/asking.py": [
        *overridden(
            ENGINE,
            forward_backward_batch="data loss_function forward_only",
            forward_step="micro_batch loss_function forward_only",
        ),
        *called(f"{ENGINE}.prepare_model_inputs", "self micro_batch"),
        *called(f"{ENGINE}.prepare_model_outputs", "self output output_args micro_batch logits_processor_func"),
        *called("verl.utils.tensordict_utils:get_non_tensor_data", "data key default"),
        *called("verl.utils.tensordict_utils:assign_non_tensor", "tensor_dict kwargs"),
        *called("verl.utils.tensordict_utils:assign_non_tensor_stack", "tensor_dict key val"),
        *called("verl.workers.utils.padding:no_padding_2_padding", "tensor data"),
        *read(ENGINE, "self.module = "),
        *reads(ENGINE, 'key="calculate_entropy"'),
        *read("verl.workers.engine_workers", "partial(ppo_loss, config=actor_config)"),
    ],
    f"{PLUGIN}looking/loss.py": [
        *called(
            "verl.trainer.ppo.core_algos:agg_loss",
            "loss_mat loss_mask loss_agg_mode dp_size batch_num_tokens global_batch_size loss_scale_factor",
        ),
        *called("verl.utils.metric:Metric", "aggregation value"),
        *called("verl.utils.metric:AggregationType.SUM"),
        *reads("verl.workers.utils.losses:ppo_loss", "config.global_batch_info["),
    ],
    f"{PLUGIN}watching/kept_tokens.py": [
        *subclassed("verl.trainer.ppo.v1.trainer_base:PPOTrainer"),
        *overridden(TRAINER, _compute_advantage="batch metrics"),
        *called("transfer_queue:kv_batch_get", "keys partition_id select_fields"),
        *read(TRAINER, "self.config", "self.global_steps"),
        *read("verl.trainer.ppo.padding_utils", "is_padding=True"),
    ],
    f"{PLUGIN}replaying/trainer.py": [
        *subclassed(TRAINER),
        *overridden(
            TRAINER,
            on_init_end="",
            on_sample_end="",
            fit="agent_loop_manager",
            _compute_advantage="batch metrics",
        ),
        *called("verl.trainer.ppo.v1.trainer_base:register_trainer", "name"),
        *called("verl.utils.tensordict_utils:list_of_dict_to_tensordict"),
        *called("transfer_queue:KVBatchMeta"),
        *called("transfer_queue:kv_batch_put", "keys partition_id fields tags data_parser"),
        *called(f"{TRAINER}._step_once", "self metrics timing_raw sample_batch_size"),
        *read(
            TRAINER, "self.global_steps", "self.replay_buffer", "self.train_dataset", "self.processor", "self.config"
        ),
        *reads(f"{TRAINER}._setup", '"_enable_hybrid_replicas", True', "LLMServerManager.create_empty("),
        *reads(f"{TRAINER}._step_once", "self.replay_buffer.sample(", "self.on_sample_end()"),
        *called("verl.utils.dataset.rl_dataset:RLHFDataset.process_vision_info", "messages image_patch_size config"),
    ],
    f"{PLUGIN}patches/validation_bootstrap.py": [
        *subclassed("verl.trainer.ppo.v1.trainer_base:PPOTrainer"),
        # verl's main branch is about to drop the last one.
        *overridden(
            TRAINER,
            _val_metrics_update="data_sources sample_uids reward_extra_infos_dict sample_turns expected_acc_counts",
        ),
    ],
    f"{PLUGIN}sampler.py": [
        *subclassed(BUFFER),
        *subclassed(ASYNC_BUFFER),
        *overridden(
            BUFFER,
            __init__=(
                "trainer_mode trainer_config max_off_policy_threshold max_off_policy_strategy sampler_kwargs "
                "poll_interval refill_fn filter_groups_metric train_batch_size gen_batch_size "
                "max_inflight_gen_batches sync_refill_failed_groups"
            ),
            sample="global_steps partition_id batch_size",
            _dapo_filtered_keys="partition_id",
            _wait_for_next_poll="partition_id last_debug_time",
            _materialize_batch="partition_id selected_prompt_uids partition_snapshot",
            _clear_groups="partition_id uids",
        ),
        *overridden(
            ASYNC_BUFFER,
            sample="global_steps partition_id batch_size",
        ),
        *called(f"{BUFFER}._sync_metadata_from_transfer_queue", "self"),
        *reads(f"{BUFFER}._evict_terminal_groups", "self._clear_groups(partition_id, evicted_uids)"),
        *reads(f"{BUFFER}.sample", "self._clear_groups(partition_id, surplus_uids)"),
        *read(BUFFER, "self.partitions", "self.running_keys", "self.finished_keys", "self.failure_keys"),
        *read(BUFFER, "self.refill_fn", "self.prompt_global_steps", "self._dapo_classification_cache"),
        *called("transfer_queue:KVBatchMeta"),
        *called("transfer_queue:kv_batch_put", "keys partition_id fields tags data_parser"),
        *called("transfer_queue:kv_clear", "keys partition_id"),
        *matched(f"{BUFFER}.sample", "no materializable trajectories"),
        *matched(f"{BUFFER}._evict_terminal_groups", "/filter_groups/evicted_samples"),
        *matched(f"{BUFFER}.sample", "/filter_groups/discarded_surplus_samples"),
        *reads(f"{BUFFER}._terminal_eviction_reasons", "self._dapo_filtered_keys(partition_id)"),
        *reads(f"{BUFFER}.sample", "_wait_for_next_poll("),
        *reads(f"{ASYNC_BUFFER}.wait_for_sampleable", "_wait_for_next_poll("),
        *reads(
            f"{BUFFER}.sample",
            "return self._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)",
        ),
        *reads(
            f"{ASYNC_BUFFER}.sample",
            "return self._materialize_batch(partition_id, selected_prompt_uids, partition_snapshot)",
        ),
    ],
    f"{PLUGIN}rollouts.py": [
        *called("transfer_queue:kv_batch_get", "keys partition_id select_fields"),
        *called("transfer_queue:kv_clear", "keys partition_id"),
        *called("transfer_queue:KVBatchMeta.reorder", "self indexes"),
        *matched("verl.trainer.ppo.v1.agent_loop_tq", '"response_len": response_len', "{uid}_{session_id}_{i}"),
        *matched("verl.trainer.ppo.v1.agent_loop_tq", 'extra_fields["reward_extra_info"]'),
    ],
    f"{PLUGIN}estimators.py": [*called("verl.trainer.ppo.core_algos:register_adv_est", "name_or_enum")],
    f"{PLUGIN}engine.py": [
        *called("verl.workers.engine:EngineRegistry.register", "model_type backend device vendor"),
        *overridden(ENGINE, _build_module=""),
        *reads("verl.workers.engine:EngineRegistry.get_engine_cls", "vendor_key = (device, vendor)"),
    ],
    f"{PLUGIN}computing/router_replay.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, _build_module="", disable_adapter="", prepare_model_inputs="micro_batch"),
        *read("verl.workers.engine.fsdp.transformer_impl:FSDPEngine", "self.engine_config = engine_config"),
        *called("verl.utils.tensordict_utils:get_non_tensor_data"),
    ],
    f"{PLUGIN}computing/equal_micro_batches.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, forward_backward_batch="data loss_function forward_only"),
        *called(f"{ENGINE}.get_data_parallel_size", "self"),
        *called("verl.utils.tensordict_utils:get_non_tensor_data", "data key default"),
        *called(
            "verl.utils.tensordict_utils:make_iterator", "tensordict mini_batch_size epochs seed dataloader_kwargs"
        ),
        *called("verl.utils.tensordict_utils:maybe_fix_3d_position_ids", "data"),
        *reads("verl.workers.engine_workers:TrainingWorker.infer_batch", "if key not in data.keys():"),
        *reads(
            "verl.workers.engine.utils:postprocess_batch_func",
            '"model_output": model_output',
            '"loss": losses',
            '"metrics": aggregated_metrics',
        ),
    ],
    f"{PLUGIN}patches/sequence_means.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, forward_backward_batch="data loss_function forward_only"),
        *called(f"{ENGINE}.get_data_parallel_group", "self"),
        *called("verl.utils.tensordict_utils:assign_non_tensor", "tensor_dict kwargs"),
        *called("verl.utils.device:get_device_id", ""),
        *reads(f"{ENGINE}.forward_backward_batch", 'data["loss_mask"].sum()'),
        *reads(
            "verl.workers.utils.losses:ppo_loss",
            'config.global_batch_info["global_batch_size"] = data["global_batch_size"]',
        ),
    ],
    f"{PLUGIN}patches/frozen_vision_tower.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, _build_module="", _build_lora_module="module"),
        *read(ENGINE, "self.model_config"),
        *read("verl.workers.config.model:HFModelConfig", "lora: dict"),
    ],
    f"{PLUGIN}patches/process_group_timeout.py": [
        *replaced("verl.utils.distributed:initialize_global_process_group_ray", "timeout_second backend"),
        *reads(
            "verl.workers.engine_workers:TrainingWorker.__init__",
            "initialize_global_process_group_ray(timeout_second=None)",
        ),
    ],
    f"{SIMULATION}engine.py": [
        *overridden(ENGINE, prepare_model_inputs="micro_batch"),
        *called("verl.utils.config:omega_conf_to_dataclass"),
        *read("verl.workers.config:HFModelConfig", "target_parameters", "use_fused_kernels"),
        *read(ENGINE, "def _build_model_optimizer(self)", "self.compute_entropy_from_logits"),
        *replaced("verl.workers.engine.fsdp.transformer_impl:fsdp2_load_full_state_dict"),
        *replaced("verl.workers.engine.fsdp.transformer_impl:CPUOffloadPolicy"),
        *reads(ENGINE, "fsdp2_load_full_state_dict(", "CPUOffloadPolicy(pin_memory=True)"),
    ],
    f"{SIMULATION}phases.py": [
        *read(ENGINE, "self._autocast_dtype", "def _gradient_sync_context(self, *, is_last_micro_batch"),
        *called("verl.utils.fsdp_utils:fsdp2_clip_grad_norm_"),
        *called("verl.workers.engine.fsdp.transformer_impl:logprobs_from_logits", "logits labels inplace_backward"),
        *reads(ENGINE, "self.optimizer_config.clip_grad"),
    ],
    f"{SIMULATION}stand_ins.py": [
        *replaced("verl.models.transformers.qwen2_vl:_custom_flash_attention_forward"),
        *replaced("verl.models.transformers.qwen2_vl:_get_input_embeds"),
        *replaced("verl.models.transformers.qwen3_vl:_get_input_embeds"),
        *called("verl.utils.transformers_compat:unpack_visual_output", "visual_output"),
        *reads("verl.models.transformers.qwen2_vl:qwen2_vl_attn_forward", "_flash_use_top_left_mask"),
        *reads("verl.utils.torch_functional:logprobs_from_logits", "FLAH_ATTN_CROSS_ENTROPY_LOSS_AVAILABLE"),
    ],
    f"{PLUGIN}patches/chunked_log_probs.py": [
        *replaced("verl.utils.torch_functional:logprobs_from_logits_v2", "logits labels"),
        *reads("verl.utils.torch_functional:logprobs_from_logits", "logprobs_from_logits_v2(logits, labels)"),
    ],
    f"{PLUGIN}patches/text_rows.py": [
        *replaced(
            "verl.models.transformers.qwen2_vl:_get_input_embeds",
            "model input_ids attention_mask pixel_values pixel_values_videos image_grid_thw video_grid_thw",
        ),
        *called("verl.models.transformers.qwen2_vl:unpack_visual_output", "visual_output"),
        *reads("verl.models.transformers.qwen2_vl:qwen2_vl_base_forward", "_get_input_embeds("),
    ],
    f"{PLUGIN}patches/lora_adapters.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, _build_lora_module="module", _merged_lora_per_tensor_param=""),
        *read(ENGINE, "self.engine_config", "self.model_config"),
        *called("verl.workers.engine.fsdp.utils:unfuse_moe_params", "weights model_type"),
    ],
    f"{PLUGIN}cpu/offload.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, _build_fsdp_module="module"),
        *replaced("verl.workers.engine.fsdp.transformer_impl:CPUOffloadPolicy"),
        *reads(f"{ENGINE}._build_fsdp_module", "CPUOffloadPolicy("),
    ],
    "medix_r1/checkpoints/verification/vllm_answers.py": [
        *called("vllm:LLM"),
        *called("vllm:SamplingParams"),
        *reads("vllm:LLM.__init__", "enforce_eager", "tensor_parallel_size", "dtype"),
        *reads("vllm:SamplingParams", "ignore_eos", "logprobs", "max_tokens"),
    ],
    f"{PLUGIN}agent_loop.py": [
        *subclassed(LOOP),
        *overridden(LOOP, run="sampling_params priority kwargs", process_multi_modal_info="messages"),
        *[Use("overridden", f"{LOOP}.ct_build_initial_tokens")],
        *called("verl.experimental.agent_loop.agent_loop:register", "agent_name"),
        *read(LOOP, "self.rollout_config"),
        *read("verl.experimental.agent_loop.agent_loop:AgentLoopBase", "self.config = "),
        *reads(f"{LOOP}.run", "self.process_multi_modal_info(messages)", "self.ct_build_initial_tokens("),
        *reads(f"{LOOP}.run", "self.server_manager.generate(", "request_id=request_id"),
        *reads(f"{SERVER}.generate", "SamplingParams(max_tokens=max_tokens, **sampling_params)"),
    ],
    f"{PLUGIN}watching/seats.py": [
        *replaced(
            "verl.experimental.agent_loop.agent_loop:AgentLoopWorker._run_agent_loop",
            "self sampling_params trajectory agent_name trace kwargs",
        ),
        *reads(
            "verl.trainer.ppo.v1.agent_loop_tq:AgentLoopWorkerTQ.__ray_metadata__.modified_class._run_prompt",
            "session_id=i, **prompt",
            "config.n if not trajectory",
        ),
        *called("ray:get_actor", "name namespace"),
        *called("ray:get_runtime_context", ""),
    ],
    f"{PLUGIN}patches/shared_images.py": [
        *replaced(
            "verl.experimental.agent_loop.agent_loop:AgentLoopWorker._compute_multi_modal_inputs",
            "self output input_ids",
        ),
        *replaced("verl.experimental.agent_loop.agent_loop:AgentLoopWorker._compute_score", "self outputs kwargs"),
        *called("ray:put", "value _owner _tensor_transport"),
        *called("ray:ObjectRef"),
        # the row that is stored is the dictionary that is scored
        *reads(
            "verl.trainer.ppo.v1.agent_loop_tq:AgentLoopWorkerTQ.__ray_metadata__.modified_class._agent_loop_postprocess",
            "await self._compute_score(outputs, kwargs=kwargs)",
            "field.update(kwargs)",
        ),
        *read("verl.experimental.agent_loop.agent_loop:AgentLoopWorker", "self.processor = "),
        *read("verl.experimental.agent_loop.agent_loop:AgentLoopWorker", "_get_mm_processor_kwargs"),
        *read("verl.experimental.agent_loop.agent_loop:AgentLoopOutput", "multi_modal_data"),
        *matched("verl.experimental.agent_loop.agent_loop:AgentLoopWorker._compute_position_ids", "mm_token_type_ids"),
        *matched("verl.experimental.agent_loop.agent_loop:AgentLoopWorker._compute_position_ids", "get_rope_index"),
    ],
    f"{PLUGIN}load_balancer.py": [
        *subclassed("verl.workers.rollout.router:GlobalRequestLoadBalancer"),
        *overridden(
            "verl.workers.rollout.router:GlobalRequestLoadBalancer",
            __init__="servers max_cache_size full_determinism",
            acquire_server="request_id",
        ),
        *read(
            "verl.workers.rollout.router:GlobalRequestLoadBalancer",
            "self._request_id_to_server: LRUCache",
            "self._inflight_requests: dict[str, int]",
        ),
    ],
    f"{PLUGIN}patches/group_routing.py": [
        *replaced(
            "verl.workers.rollout.router:get_router_handle",
            "servers router_config_path full_determinism load_balancer_cls",
        ),
        # looked up when it is called, so that ours is found
        *reads(
            "verl.workers.rollout.llm_server:LLMServerManager._init_global_load_balancer",
            "from verl.workers.rollout.router import get_router_handle",
        ),
        *reads("verl.workers.rollout.llm_server:LLMServerClient.generate", "self._acquire_server(", "request_id,"),
    ],
    f"{PLUGIN}patches/picture_files.py": [
        *replaced("verl.utils.dataset.rl_dataset:RLHFDataset.__getitem__", "self item"),
        *reads("verl.utils.dataset.rl_dataset:RLHFDataset._build_messages", 'image["image"] = Image.open('),
    ],
    f"{PLUGIN}patches/stored_pictures.py": [
        *subclassed(ENGINE),
        *overridden(ENGINE, prepare_model_inputs="micro_batch"),
        *read(ENGINE, "self.model_config"),
        *reads(
            f"{ENGINE}.prepare_model_inputs", 'extract_multi_modal_inputs(micro_batch.get("multi_modal_inputs", []))'
        ),
        *called("verl.utils.tensordict_utils:assign_non_tensor_stack"),
    ],
    f"{PLUGIN}pictures.py": [
        *called("transfer_queue:async_kv_batch_put", "keys partition_id fields tags data_parser"),
        *called("transfer_queue:kv_batch_get", "keys partition_id select_fields"),
        *called("transfer_queue:kv_list", "partition_id"),
        *called("transfer_queue:kv_clear", "keys partition_id"),
        *called("verl.utils.tokenizer:build_multimodal_processor_inputs"),
    ],
    f"{PLUGIN}patches/mlflow_params.py": [
        *replaced("verl.utils.tracking:_compute_mlflow_params_from_objects", "params"),
        *reads("verl.utils.tracking:Tracking", "MLFLOW_RUN_ID"),
    ],
    f"{PLUGIN}patches/position_ids.py": [
        *replaced("verl.utils.transferqueue_utils:_async_meta_to_realdata", "meta"),
        *called("verl.utils.tensordict_utils:nested_tensor_from_tensor_list", "tensors ragged_idx"),
        *reads("verl.utils.tensordict_utils:maybe_fix_3d_position_ids", "_ragged_idx = 2"),
        *read("torch.nested._internal.nested_tensor", "self._ragged_idx"),
    ],
    f"{PLUGIN}reward_manager.py": [
        *subclassed(MANAGER),
        *overridden(MANAGER, __init__="config tokenizer compute_score", run_single="data"),
        *called("verl.experimental.reward_loop.reward_manager:register", "name"),
        *read(MANAGER, "self.tokenizer = tokenizer"),
        # judge=verl: what decides whether our manager is asked, and that it gets the router's address
        *reads(
            "verl.experimental.reward_loop.reward_loop:RewardLoopWorker",
            "if self.config.reward.custom_reward_function.path is not None:",
            "reward_router_address=self.reward_router_address",
        ),
        *reads(
            "verl.experimental.reward_loop.reward_loop:RewardLoopManager",
            "not self.config.reward.reward_model.enable or self.config.reward.reward_model.enable_resource_pool",
        ),
    ],
    f"{PLUGIN}watching/liveness.py": [
        *called("ray:get"),
        *called("ray:wait", "ray_waitables num_returns timeout fetch_local"),
        *called("ray:kill", "actor no_restart"),
        *called("ray.exceptions:ActorUnavailableError"),
        *called("ray.exceptions:RayActorError"),
        *reads("ray.actor:_modify_class", "def __ray_ready__(self)"),
        *matched("ray.exceptions:ActorDiedError", "The actor", "pid: ", "ip: "),
        *matched("ray/core/src/ray/raylet/raylet", "Some common causes"),
        *called("verl.workers.rollout.llm_server:LLMServerManager.get_replicas", "self"),
        *read(
            "verl.trainer.ppo.v1.trainer_base:PPOTrainer",
            *("self.actor_rollout_wg = ", "self.reward_loop_manager = RewardLoopManager(", "self.llm_server_manager"),
        ),
        *read("verl.single_controller.ray.base:RayWorkerGroup", "self._workers", "def workers(self)"),
        *read("verl.trainer.ppo.v1.agent_loop_tq:AgentLoopManagerTQ", "self.agent_loop_workers.append("),
        *read(
            "verl.workers.rollout.replica:RolloutReplica",
            *("self.replica_rank = ", "self.servers: list[ActorHandle]", "def server_address(self)"),
        ),
        *read("verl.experimental.reward_loop.reward_model:RewardModelManager", "self.rollout_replicas = "),
        *read(
            "verl.experimental.reward_loop.reward_loop:RewardLoopManager",
            *("self.reward_loop_workers.append(", "self.reward_model_manager = None"),
        ),
    ],
    f"{PLUGIN}scorer.py": [
        *called("ray:get"),
        *called("ray:remote"),
        *called("ray.exceptions:RayActorError"),
        *matched("ray.exceptions:RayActorError", "self.error_msg"),
    ],
    f"{PLUGIN}cpu/platform.py": [
        *subclassed(PLATFORM),
        *overridden(
            PLATFORM,
            is_platform_available="use_smi_check",
            ray_resource_options="num_gpus",
            rollout_env_vars="",
        ),
        *called("verl.plugin.platform:PlatformRegistry.register", "platform"),
    ],
    f"{PLUGIN}cpu/process_group.py": [
        *replaced("verl.utils.distributed:initialize_global_process_group", "timeout_second"),
        *replaced("verl.utils.distributed:initialize_global_process_group_ray", "timeout_second backend"),
    ],
    f"{PLUGIN}cpu/rollout.py": [*called("verl.workers.rollout.replica:RolloutReplicaRegistry.register", "name loader")],
    f"{PLUGIN}cpu/replica.py": [
        *subclassed(SERVER),
        *subclassed(REPLICA),
        *overridden(SERVER, _get_worker_extension_cls=""),
        *[Use("overridden", f"{REPLICA}.__init__")],
        *called("ray:remote"),
        *reads(f"{REPLICA}.launch_servers", "self.server_class.options("),
        *reads(f"{REPLICA}.__init__", "self.server_class = "),
        *reads(f"{SERVER}.launch_server", "self._get_worker_extension_cls()"),
    ],
    f"{PLUGIN}cpu/linear_weights.py": [
        *subclassed("verl.workers.rollout.vllm_rollout.utils:vLLMColocateWorkerExtension"),
        *[
            Use(
                "overridden",
                "verl.workers.rollout.vllm_rollout.utils:vLLMColocateWorkerExtension.__new__",
                ("cls", "kwargs"),
            )
        ],
        *replaced("vllm.model_executor.layers.utils:dispatch_cpu_unquantized_gemm", "layer remove_weight"),
        *reads(
            "vllm.model_executor.layers.linear:UnquantizedLinearMethod.process_weights_after_loading",
            "from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm",
        ),
    ],
    f"{PLUGIN}cpu/experts.py": [
        *read("vllm.model_executor.layers.fused_moe.cpu_fused_moe", "_CPU_MOE_ACT_FN"),
        *called("vllm.model_executor.layers.fused_moe.cpu_fused_moe:_CPU_MOE_ACT_FN"),
        *called("vllm.model_executor.layers.fused_moe.activation:MoEActivation.SILU"),
        *called("vllm.model_executor.layers.activation:SiluAndMul.forward_native", "x"),
        *replaced("vllm.model_executor.layers.fused_moe.cpu_fused_moe:select_experts"),
        *replaced("vllm.model_executor.layers.fused_moe.cpu_fused_moe:CPUFusedMOE.check_grouped_gemm", "self layer"),
        *replaced("vllm.model_executor.layers.fused_moe.runner.moe_runner:MoERunner._apply_quant_method"),
        *reads("vllm.model_executor.layers.fused_moe.router.base_router", "self.capture_fn = capture_fn"),
    ],
    f"{PLUGIN}cpu/idle_readers.py": [
        *replaced("vllm.distributed.device_communicators.shm_broadcast:sched_yield", ""),
        *reads("vllm.distributed.device_communicators.shm_broadcast:SpinCondition.wait", "sched_yield()"),
        *reads("vllm.plugins:load_general_plugins", "DEFAULT_PLUGINS_GROUP"),
    ],
    f"{PLUGIN}plugin.py": [*reads("verl", '_entry_points(group="verl.plugins")', "VERL_USE_EXTERNAL_MODULES")],
    "medix_r1/training/command/driver.py": [
        *called("verl.trainer.main_ppo:run_ppo", "config task_runner_class"),
        *subclassed("verl.trainer.main_ppo:TaskRunnerV1.__ray_metadata__.modified_class"),
        *overridden("verl.trainer.main_ppo:TaskRunnerV1.__ray_metadata__.modified_class", run="config"),
        *called("verl.trainer.ppo.utils:need_critic", "config"),
        *called("verl.trainer.ppo.utils:need_reference_policy", "config"),
        *called("verl.utils.config:validate_config", "config use_reference_policy use_critic"),
        *called("verl.utils.device:auto_set_device", "config"),
        *called("ray:remote"),
        *[Use("read", "ray.exceptions:RayTaskError.as_instanceof_cause", ("self",))],
        *read("ray.exceptions:RayTaskError", "self.cause = "),
    ],
    "medix_r1/training/command/launch.py": [
        *reads("verl.utils.tracking:FileLogger.__init__", "VERL_FILE_LOGGER_PATH"),
        *reads("verl.utils.tracking:_TensorboardAdapter.__init__", "TENSORBOARD_DIR"),
    ],
    "medix_r1/runs/phases.py": [
        *matched("verl.trainer.ppo.v1.trainer_base", *(f'marked_timer("{name}"' for name in ("gen", "old_log_prob"))),
        *matched("verl.trainer.ppo.v1.trainer_base", *(f'marked_timer("{name}"' for name in ("ref", "adv", "step"))),
        *matched("verl.trainer.ppo.v1.trainer_base", 'marked_timer("update_actor"', 'marked_timer("testing"'),
        *matched("verl.trainer.ppo.v1.trainer_base", 'marked_timer("save_checkpoint"'),
        *matched("verl.trainer.ppo.v1.trainer_sync", 'marked_timer("update_weights"'),
        *matched("verl.trainer.ppo.metric_utils", 'f"timing_s/{name}"'),
    ],
    "medix_r1/runs/checkpoints.py": [
        *matched("verl.trainer.ppo.v1.trainer_base", "global_step_", "latest_checkpointed_iteration.txt"),
    ],
    "medix_r1/checkpoints/parameters/fsdp_shards.py": [
        *matched("torch.serialization", "Unsupported"),
        *read("torch.distributed.tensor._api", "self._local_tensor"),
        *matched(
            "verl.utils.checkpoint.fsdp_checkpoint_manager", "model_world_size_{self.world_size}_rank_{self.rank}.pt"
        ),
    ],
    "medix_r1/checkpoints/parameters/blueprint.py": [*read("transformers:PreTrainedModel", "_keys_to_ignore_on_save")],
    "medix_r1/models/embedder.py": [*read("transformers:PretrainedConfig", "_commit_hash")],
    "medix_r1/schema/hydra_errors.py": [
        *matched("hydra._internal.config_loader_impl", "Could not override '"),
        *matched("hydra._internal.config_loader_impl", "Ambiguous value for argument '"),
        *matched("omegaconf._utils", "object_type=$OBJECT_TYPE"),
    ],
    "medix_r1/training/preflight/modules.py": [
        *read("verl.experimental.agent_loop.agent_loop", "_agent_loop_registry: dict"),
    ],
    "medix_r1/composing.py": [*reads("omegaconf._utils:get_yaml_loader", "(yaml.SafeLoader)")],
    "medix_r1/sweeps/expand.py": [
        *called(f"{SWEEPER}.split_arguments", "overrides max_batch_size"),
        *matched("hydra.errors:MissingConfigException", "missing_cfg_file"),
    ],
    "medix_r1/sweeps/launch.py": [
        *called("hydra._internal.callbacks:Callbacks", "config"),
        *called(f"{SWEEPER}.split_overrides_to_chunks", "lst n"),
    ],
    "medix_r1/evaluation/phases/model_api.py": [
        *subclassed(API),
        *[Use("overridden", f"{API}.__init__")],
        *overridden(
            API,
            should_retry="ex",
            handle_bad_request="ex",
            chat_choices_from_completion="completion tools",
            generate="input tools tool_choice config",
            _generate_completion="request config",
            retry_wait="",
        ),
        *reads(f"{API}._create_client", "api_key=self.api_key"),
        *reads(f"{API}._generate_completion", "self.client.chat.completions.create(**request)"),
        *called("inspect_ai.model._model:RetryDecision.transient"),
        *called("inspect_ai.model._model_output:as_stop_reason", "reason"),
    ],
    "scripts/update_vllm_arguments.py": [
        *called("vllm.entrypoints.openai.cli_args:make_arg_parser", "parser"),
        *called("vllm.utils.argparse_utils:FlexibleArgumentParser"),
    ],
    "scripts/ray/wait.py": [
        *called("ray:init"),
        *called("ray:nodes", ""),
        *called("ray:shutdown"),
    ],
    "configs/verl.yaml": [*reads("vllm.envs", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK")],
    "configs/hardware/cpu.yaml": [
        *reads("verl.plugin.platform.platform_manager", "VERL_PLATFORM"),
        *reads("vllm.envs", "VLLM_CPU_KVCACHE_SPACE", "VLLM_CPU_OMP_THREADS_BIND"),
        *reads("ray/core/src/ray/raylet/raylet", "worker_niceness"),
    ],
}
