"""Preflight checks of a run: all problems in one list, each with its key and the fix, before anything loads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from medix_r1 import config as configs
from medix_r1.composing import instantiate_each
from medix_r1.errors import ConfigError, Problem
from medix_r1.rewards.adapters.verl_keys import verl_function_problems
from medix_r1.rewards.build import reward_problems
from medix_r1.rewards.overlong import cache_problems
from medix_r1.serving.checks import client_problems, embedder_problems, is_used, judge_problems, members
from medix_r1.training.preflight.algorithm import algorithm_problems, optimizer_problems, plugin_problems
from medix_r1.training.preflight.correction import correction_problems
from medix_r1.training.preflight.current_directory import shadowing_problems
from medix_r1.training.preflight.engine_arguments import argument_problems
from medix_r1.training.preflight.groups import group_problems
from medix_r1.training.preflight.machine.disk import disk_problems, folder_problems
from medix_r1.training.preflight.machine.hardware import hardware_problems
from medix_r1.training.preflight.machine.placement import cluster_problems, placement_problems
from medix_r1.training.preflight.metric_names import metric_problems
from medix_r1.training.preflight.model.model_folder import model_problems
from medix_r1.training.preflight.model.model_shape import shape_problems
from medix_r1.training.preflight.model.model_values import value_problems
from medix_r1.training.preflight.modules import loop_problems, module_problems
from medix_r1.training.preflight.rows import batches
from medix_r1.training.preflight.rows.data_rows import data_problems, file_name_problems
from medix_r1.training.preflight.rows.difficulty import curriculum_problems, difficulty_problems
from medix_r1.training.preflight.rows.lengths import length_problems
from medix_r1.training.preflight.rows.looking import looking_rows_problems
from medix_r1.training.preflight.rows.prompt_lengths import prompt_length_problems
from medix_r1.training.preflight.rows.references import reference_problems
from medix_r1.training.preflight.rows.reply_format import format_problems
from medix_r1.training.preflight.rows.rubrics import rubric_rows_problems
from medix_r1.training.preflight.switches import filter_problems, looking_problems, seeding_problems
from medix_r1.training.preflight.trackers import tracker_problems, wandb_problems
from medix_r1.training.preflight.trained_parameters import trained_problems

Check = Callable[[DictConfig], Iterator[Problem]]


def problems(config: DictConfig, *, offline: bool = False) -> list[Problem]:
    """`problems_of` a config whose values are right."""
    return problems_of(configs.Composed(config), offline=offline)


def problems_of(composed: configs.Composed, *, offline: bool = False) -> list[Problem]:
    """All problems of a composed training config: its own, missing values, then those of each check in turn.

    Args:
        composed: the config with the problems of its keys and values.
        offline: look at no data, no weights, no server, no key and no machine: what the config alone tells.
    """
    config, taken_out = composed.config, composed.taken_out
    missing = [problem for problem in configs.missing_keys(config) if problem.key not in taken_out]
    reported = [*composed.problems, *missing]
    named = {problem.key for problem in reported} | taken_out
    found = (problem for check in _checks(offline) for problem in _until_missing_value(check, config, bool(reported)))
    return reported + [problem for problem in found if problem.key not in named and not _follows(problem, reported)]


def _follows(problem: Problem, reported: Sequence[Problem]) -> bool:
    """Whether a class refuses its settings because of one that is reported with its own key."""
    return problem.code == "settings-refused" and any(one.key.startswith(f"{problem.key}.") for one in reported)


def _checks(offline: bool) -> Sequence[Check]:
    of_the_config: Sequence[Check] = (
        *(plugin_problems, _reward, filter_problems, algorithm_problems, optimizer_problems, module_problems),
        *(_batches, length_problems, _limits, placement_problems, shape_problems, format_problems, trained_problems),
        *(loop_problems, argument_problems, _alarms, metric_problems, correction_problems, group_problems),
        *(curriculum_problems, file_name_problems, folder_problems, seeding_problems, looking_problems),
    )
    if offline:
        return (*of_the_config, client_problems, tracker_problems)
    return (
        *of_the_config,
        *(data_problems, difficulty_problems, prompt_length_problems, reference_problems, rubric_rows_problems),
        looking_rows_problems,
        *(model_problems, value_problems, judge_problems, embedder_problems),
        *(tracker_problems, wandb_problems, disk_problems, cluster_problems, shadowing_problems, hardware_problems),
    )


def _until_missing_value(check: Check, config: DictConfig, is_incomplete: bool) -> Iterator[Problem]:
    """The problems of a check until it reads a missing value, which is reported already."""
    try:
        yield from check(config)
    except MissingMandatoryValue:
        return
    except Exception as error:  # noqa: BLE001  a check that fails is no reason to start, and no traceback helps a user
        if not is_incomplete:  # else it met a value that was taken out
            name = check.__name__.strip("_")
            says = (
                f"the check `{name}` failed ({type(error).__name__}: {' '.join(str(error).split())}); please report it"
            )
            yield Problem("config", "not-checked", says)


def _reward(config: DictConfig) -> Iterator[Problem]:
    yield from reward_problems(config.reward)
    yield from verl_function_problems(config.get("custom_reward_function"), "custom_reward_function")
    yield from cache_problems(config.reward, config.data.max_response_length)


def _alarms(config: DictConfig) -> Iterator[Problem]:
    for name, node in config.alarms.items():
        try:
            instantiate_each({name: node}, "alarms")
        except ConfigError as error:
            for problem in error.problems:
                yield replace(problem, key=problem.key.replace("alarms.*", f"alarms.{name}", 1))


def _batches(config: DictConfig) -> Iterator[Problem]:
    rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
    batch = batches.of_config(config)
    instead = f"; for example {next(batch.suggestions())}" if not batch.divides else ""
    if rollout.n < 2:
        yield Problem(
            "actor_rollout_ref.rollout.n", "group-too-small", f"a group of {rollout.n} has no advantage; use at least 2"
        )
    if config.data.train_batch_size % actor.ppo_mini_batch_size:
        yield Problem(
            "actor_rollout_ref.actor.ppo_mini_batch_size",
            "does-not-divide",
            f"{actor.ppo_mini_batch_size} prompts do not divide "
            f"data.train_batch_size={config.data.train_batch_size}{instead}",
        )
    gpus, parallel = config.trainer.nnodes * config.trainer.n_gpus_per_node, batches.sequence_parallel(actor)
    if gpus % parallel:
        yield Problem(
            "actor_rollout_ref.actor.fsdp_config.ulysses_sequence_parallel_size",
            "does-not-divide",
            f"{parallel} does not divide the {gpus} GPUs that train",
        )
    elif batch.mini_rows % batch.ranks:
        each = f" of {parallel} GPUs each" if parallel > 1 else ""
        yield Problem(
            "actor_rollout_ref.actor.ppo_mini_batch_size",
            "rows-do-not-divide",
            f"{actor.ppo_mini_batch_size} prompts x {rollout.n} rollouts "
            f"= {batch.mini_rows} rows do not divide among {batch.ranks} ranks{each}{instead}",
        )
    if config.trainer.n_gpus_per_node % rollout.tensor_model_parallel_size:
        yield Problem(
            "actor_rollout_ref.rollout.tensor_model_parallel_size",
            "does-not-divide",
            f"{rollout.tensor_model_parallel_size} does not "
            f"divide trainer.n_gpus_per_node={config.trainer.n_gpus_per_node}",
        )


def _limits(config: DictConfig) -> Iterator[Problem]:
    """Timeouts must ascend, so that the most specific message comes first: a server's, the rollouts', the run's."""
    silence, stall = config.run.silence_limit, config.run.stall_limit
    if silence <= stall:
        yield Problem(
            "run.silence_limit",
            "limit-too-short",
            f"{silence} s is not more than run.stall_limit={stall}; use at least {2 * stall}",
        )
    embedders = [("embedder", config.embedder)] if is_used(config, "embedder") else []
    waiting = [(node.get("patience") or 0, key) for key, node in [*members(config.judge.client), *embedders]]
    patience, key = max(waiting, default=(0, ""))
    if stall <= patience:
        least = 2 * patience
        yield Problem(
            "run.stall_limit",
            "limit-too-short",
            f"{stall} s is not more than {key}.patience={patience}; use at least {least}",
        )
