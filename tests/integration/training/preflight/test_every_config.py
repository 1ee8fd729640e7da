"""Every YAML file that is checked in composes, has no unknown key, and passes verl's own validation."""

import itertools

import pytest
from omegaconf import OmegaConf

from medix_r1 import config as configs
from medix_r1.rewards.composite import weight_problems
from tests.support.configs import choices, composed

GROUPS = ("model", "hardware", "algorithm", "trainer", "lora", "correction")
# Not `reward`: verl's own RewardManagerConfig cannot be built (its __post_init__ calls one that does not exist).
DATACLASSES = (
    "algorithm",
    "actor_rollout_ref.actor",
    "actor_rollout_ref.rollout",
    "trainer.v1.separate_async.hybrid_rollout",
)


def one_of_each() -> list[list[str]]:
    """As few mixtures as hold every file of every group at least once."""
    files = {group: choices(group) for group in GROUPS}
    longest = max(len(names) for names in files.values())
    columns = [itertools.islice(itertools.cycle(names), longest) for names in files.values()]
    return [
        [f"{group}={name}" for group, name in zip(GROUPS, names, strict=True)] for names in zip(*columns, strict=True)
    ]


PLACEMENTS = {
    "own_gpus": ["judge=vllm"],
    "shared": ["judge=vllm"],
    "own_node": ["judge=remote"],
    "address": ["judge=remote"],
    "inside_verl": ["judge=remote"],
    "beside": ["judge=vllm"],
}
NEEDS = {"report_generation": ["data.folder=mine"]}  # what an experiment leaves to the user
MIXTURES = {
    **{name: [f"experiment={name}", *NEEDS.get(name, [])] for name in choices("experiment")},
    **{" ".join(mixture): ["experiment=nano_cpu", *mixture] for mixture in one_of_each()},
    **{
        f"placement={name}": ["experiment=medix_r1_2b_dapo", f"placement={name}", *judge]
        for name, judge in PLACEMENTS.items()
    },
}


def reference(config):
    """The reference policy's config with the keys renamed as verl's worker does before it builds the dataclass."""
    ref = config.actor_rollout_ref.ref.copy()
    OmegaConf.set_struct(ref, False)
    ref.ppo_mini_batch_size = config.actor_rollout_ref.actor.ppo_mini_batch_size
    ref.ppo_micro_batch_size = ref.pop("log_prob_micro_batch_size")
    ref.ppo_micro_batch_size_per_gpu = ref.pop("log_prob_micro_batch_size_per_gpu")
    ref.use_dynamic_bsz = ref.pop("log_prob_use_dynamic_bsz")
    ref.ppo_max_token_len_per_gpu = ref.pop("log_prob_max_token_len_per_gpu")
    return ref


def test_every_placement_is_here():
    assert set(PLACEMENTS) == set(choices("placement"))


@pytest.mark.filterwarnings("ignore:Disabled critic")  # verl says so of every algorithm without one
@pytest.mark.parametrize("overrides", MIXTURES.values(), ids=MIXTURES)
def test_composes_and_passes_verls_validation(overrides, capsys):
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    config = composed(*overrides)

    assert configs.missing_keys(config) == []
    need_reference = need_reference_policy(config)
    validate_config(config=config.copy(), use_reference_policy=need_reference, use_critic=need_critic(config))
    for key in DATACLASSES:
        assert omega_conf_to_dataclass(OmegaConf.select(config, key)) is not None
    assert omega_conf_to_dataclass(reference(config)) is not None
    assert need_reference == (config.actor_rollout_ref.actor.use_kl_loss or config.algorithm.use_kl_in_reward)
    capsys.readouterr()  # verl prints


@pytest.mark.parametrize("trainer", ["sync", "colocate_async", "separate_async"])
def test_a_trainer_brings_the_sampler_that_fits(trainer):
    from verl.utils.import_utils import load_extern_object

    v1 = composed("experiment=nano_cpu", f"trainer={trainer}").trainer.v1
    sampler = load_extern_object(v1.sampler.custom_sampler.path, v1.sampler.custom_sampler.name)

    assert ("Async" in sampler.__mro__[2].__name__) is (trainer != "sync")
    assert v1.trainer_mode == {"sync": "medix_sync", "colocate_async": "medix_colocate_async"}.get(trainer, trainer)


def test_own_gpus_divide_what_is_left():
    config = composed("experiment=medix_r1_2b_dapo", "placement=own_gpus", "judge=vllm")
    rows = config.actor_rollout_ref.actor.ppo_mini_batch_size * config.actor_rollout_ref.rollout.n

    assert rows % config.trainer.n_gpus_per_node == 0
    assert config.data.train_batch_size % config.actor_rollout_ref.actor.ppo_mini_batch_size == 0
    assert config.trainer.n_gpus_per_node % config.actor_rollout_ref.rollout.tensor_model_parallel_size == 0
    assert config.trainer.n_gpus_per_node + len(config.placement.judge_gpus) == 8


CHOICES = [
    (experiment, hardware, algorithm)
    for experiment in ("nano_cpu", "medix_r1_8b_grpo")
    for hardware in (None, "cpu2")
    for algorithm in ("grpo", "dapo", "gspo")
]


@pytest.mark.parametrize(("experiment", "hardware", "algorithm"), CHOICES)
def test_every_experiment_composes(experiment, hardware, algorithm):
    overrides = [f"experiment={experiment}", f"algorithm={algorithm}"]
    if hardware:
        overrides.append(f"hardware={hardware}")

    config = composed(*overrides)  # raises for every unknown key and every interpolation that leads nowhere

    assert weight_problems(dict(config.reward.weights), dict(config.reward.signals)) == []
    assert configs.missing_keys(config) == []
    assert config.run.name == experiment
    assert config.trainer.default_local_dir == f"outputs/{experiment}/checkpoints"
    assert "hydra" not in config
    # the choices of the groups are what is in the tree
    actor, sampler = config.actor_rollout_ref.actor, config.trainer.v1.sampler.sampler_kwargs
    assert actor.policy_loss.loss_mode == ("gspo" if algorithm == "gspo" else "vanilla")
    assert actor.clip_ratio_high == {"grpo": 0.3, "dapo": 0.28, "gspo": 4e-4}[algorithm]
    assert sampler.filter.signal == ("llm" if algorithm == "dapo" else None)
    if hardware:
        assert (config.trainer.device, config.trainer.n_gpus_per_node) == ("cpu", 2)
        assert config.ray_kwargs.ray_init.num_gpus == 2
