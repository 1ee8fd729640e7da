"""What is read from TransferQueue, in which order, and which rollouts are comparable."""

import json
from dataclasses import replace
from pathlib import Path

import transfer_queue

from medix_r1.training.verl_plugin.old_records import ROW_FIELDS
from medix_r1.training.verl_plugin.rollouts import comparable, plain, prompt_name, read_rollouts, sort_key, step_of
from tests.support.rollouts import BLANK


def rollout(uid: str, masked: bool, number: int = 0):
    return replace(BLANK, key=f"{uid}_{number}_0", uid=uid, masked=masked, overall=None if masked else 1.0)


def test_a_lone_survivor_is_not_comparable():
    """Its advantage would be its raw reward."""
    pair = [rollout("a", False, 0), rollout("a", False, 1), rollout("a", True, 2)]
    lone = [rollout("b", False, 0), rollout("b", True, 1)]
    gone = [rollout("c", True, 0), rollout("c", True, 1)]

    assert comparable([*lone, *pair, *gone]) == pair
    assert comparable([]) == []


def test_rollouts_are_sorted_by_number_and_not_by_text():
    keys = ["step000001-prompt000001_10_0", "step000001-prompt000001_2_0", "step000001-prompt000000_3_1"]

    assert sorted(keys, key=sort_key) == [keys[2], keys[1], keys[0]]


def test_columns_are_unwrapped():
    wrapped = type("NonTensor", (), {"data": {"a": 1}})()

    assert plain([wrapped, {"b": 2}, "c"]) == [{"a": 1}, {"b": 2}, "c"]


def test_a_prompts_name_tells_its_step_and_keeps_the_order():
    names = [prompt_name(9, 3), prompt_name(9, 20), prompt_name(10, 0)]

    assert names == sorted(names)
    assert [step_of(name) for name in names] == [9, 9, 10]


def test_records_of_an_older_checkpoint_are_read_among_todays(monkeypatch):
    """After a resume, replies that the old code had scored wait beside new ones."""
    old = json.loads((Path(__file__).parents[3] / "data/records_795c22a.json").read_text(encoding="utf-8"))[0]
    samples = {
        "u_0_0": {**old["row"], "extra_fields": {"reward_extra_info": old["reward_extra_info"]}},
        "u_1_0": {
            "extra_info": {},
            "reward_model": {},
            "data_source": "",
            "extra_fields": {"reward_extra_info": BLANK.to_verl()},
        },
    }
    asked = []

    def kv_batch_get(*, keys, partition_id, select_fields):
        asked.append((partition_id, select_fields))
        return {name: [samples[key][name] for key in keys] for name in select_fields}

    monkeypatch.setattr(transfer_queue, "kv_batch_get", kv_batch_get)
    tags = [{"response_len": 7}, {"response_len": 12}]

    first, second = read_rollouts(["u_0_0", "u_1_0"], tags, "train")

    assert (first.reply, first.row_id, first.tokens) == (old["line"]["reply"], old["line"]["row_id"], 7)
    assert second == replace(BLANK, key="u_1_0")
    assert asked == [("train", ["extra_fields"]), ("train", list(ROW_FIELDS))]
    read_rollouts(["u_1_0"], tags[1:], "train")
    assert asked[2:] == [("train", ["extra_fields"])]  # rows are fetched for old records alone
