"""`medix-r1 reward attack`, from arguments to exit code."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from medix_r1.config import flatten
from medix_r1.errors import ConfigError, Problem
from medix_r1.host.files import atomic_write
from medix_r1.scoring.attack import report
from medix_r1.scoring.attack.journal import TRIED, Journal
from medix_r1.scoring.attack.proposing import Proposer, ProposerSettings
from medix_r1.scoring.attack.rows import Questions, questions
from medix_r1.scoring.attack.scorer import Scorer
from medix_r1.scoring.attack.search import Search
from medix_r1.scoring.composed import PlannedReward
from medix_r1.scoring.running import Advance, run_with_progress

PROBES, RESULT, VERDICTS = "probes.yaml", "attack.json", "verdicts"
_LONGEST = 3000  # bytes of an answer, where no signal says how many it reads
_PROMPT_TOKENS = 250  # of a judge's prompt without question and answer, about
_BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says besides the reward.

    Attributes:
        budget: calls of the judge.
        rows: questions that are attacked.
        seed: of all draws.
        out: folder of the result.
        json_out: file for everything; None: `attack.json` in the folder.
        in_flight: replies scored concurrently.
        restart: throw away what was tried before.
        dry_run: check everything, say what it may cost, ask nothing.
        proposer: a model that proposes; None: none.
    """

    budget: int
    rows: int
    seed: int
    out: Path
    json_out: Path | None
    in_flight: int
    restart: bool
    dry_run: bool
    proposer: ProposerSettings | None


def proposer_of(
    url: str | None, model: str, role: str, key_env: str | None, count: int, seed: int
) -> ProposerSettings | None:
    """The settings of a proposing model; None where neither its server nor anything else of it is named."""
    if url is None and not model and key_env is None:
        return None
    return ProposerSettings(url or "", model, role, key_env, count, seed=seed)


def attack(
    source: Path | None,
    overrides: Sequence[str],
    options: Options,
    judge_url: str | None,
    config_dirs: Sequence[Path],
    console: Console,
) -> int:
    """Search for wrong answers that the reward pays for; return 1 when there are any."""
    problems = options.proposer.problems() if options.proposer else []
    planned = _planned(overrides, judge_url, config_dirs, problems, options.out)
    config = planned.config
    asked = options.proposer is not None and options.proposer.role == "policy"
    found = questions(
        source,
        most=options.rows,
        seed=options.seed,
        parser=str(config.reward.parser),
        with_images=asked or _wants_images(config),
        think_element=config.reward.think_element,
    )
    if asked and not any(target.messages for target in found.targets):
        says = "the policy needs the pictures of its questions: give a prepared folder, or rows with images"
        raise ConfigError.of("--propose-as", "no-pictures", says)
    longest = _longest(config)
    if options.dry_run:
        _show_plan(planned, found, options, longest, console)
        return 0
    settings = planned.settings()
    with Journal(options.out, settings, restart=options.restart) as journal, planned.ready(console) as ready:
        searches: list[Search] = []

        async def work(advance: Advance) -> None:
            scorer = Scorer(ready, journal, options.budget, in_flight=options.in_flight, advance=advance)
            async with contextlib.AsyncExitStack() as stack:
                proposer = Proposer(options.proposer, journal) if options.proposer else None
                if proposer is not None:
                    stack.push_async_callback(proposer.aclose)
                search = Search(
                    *(scorer, found.targets, found.pool),
                    seed=options.seed,
                    longest=longest,
                    proposals=proposer,
                )
                searches.append(search)
                await search.run()

        done = min(journal.calls, options.budget)
        finished = run_with_progress(work, [ready], console, "attacking", options.budget, done=done)
    if not finished:
        console.print(f"stopped; the same command goes on from here. So far: {options.out / TRIED}", highlight=False)
        return 1
    return _show(searches[0], found, options, overrides, settings, console)


def _planned(
    overrides: Sequence[str],
    judge_url: str | None,
    config_dirs: Sequence[Path],
    problems: Sequence[Problem],
    out: Path,
) -> PlannedReward:
    """The reward, whose judge keeps its verdicts beside the journal unless it keeps them elsewhere."""
    planned = PlannedReward(overrides, judge_url=judge_url, config_dirs=config_dirs, besides=lambda _: problems)
    client = planned.config.judge.client if planned.asks_a_judge else None
    if client is None or "cache_path" not in client or client.cache_path is not None:
        return planned
    kept = [*overrides, f"judge.client.cache_path='{out / VERDICTS}'"]
    return PlannedReward(kept, judge_url=judge_url, config_dirs=config_dirs)


def _wants_images(config: DictConfig) -> bool:
    signals = OmegaConf.to_container(config.reward.signals, resolve=True)
    assert isinstance(signals, dict)
    return any(isinstance(one, dict) and one.get("give_images") for one in signals.values())


def _longest(config: DictConfig) -> int:
    """Bytes of an answer that every signal reads."""
    signals = OmegaConf.to_container(config.reward.signals, resolve=True)
    assert isinstance(signals, dict)
    limits = [one.get("max_bytes") for one in signals.values() if isinstance(one, dict)]
    return min([limit for limit in limits if limit is not None], default=_LONGEST)


def _show_plan(planned: PlannedReward, found: Questions, options: Options, longest: int, console: Console) -> None:
    """What would be asked and what it may cost."""
    questions_asked = len(found.targets)
    told = [f"{questions_asked} of {found.of} questions; at most {options.budget} calls of the judge"]
    prompt = _PROMPT_TOKENS + longest // _BYTES_A_TOKEN
    told.append(f"at most about {options.budget * prompt:,} prompt tokens: {prompt} a call with the longest answers")
    node = OmegaConf.to_container(planned.config.judge.client, resolve=True) if planned.asks_a_judge else None
    prices = [
        value
        for key, value in flatten(cast(dict[str, Any], node or {}))
        if key.split(".")[-1] == "price_prompt" and value is not None
    ]
    if prices:
        told.append(f"at most about {options.budget * prompt * max(prices) / 1e6:.2f} in the currency of price_prompt")
    elif planned.asks_a_judge:
        told.append("no price is known: judge.client.price_prompt and price_completion, per million tokens")
    else:
        told[0] = told[0].replace("calls of the judge", "replies, as no judge is asked")
    if options.proposer:
        one = options.proposer
        told.append(f"{one.questions} questions to {one.model} at {one.url}, as {one.role}")
    if (options.out / TRIED).exists():
        told.append(f"{options.out / TRIED} is there: what it holds is not asked again")
    told.append("nothing was asked; without --dry-run the search starts")
    console.print(*told, sep="\n", markup=False, highlight=False)


def _show(
    search: Search,
    found: Questions,
    options: Options,
    overrides: Sequence[str],
    settings: dict[str, object],
    console: Console,
) -> int:
    about = {"overrides": list(overrides), "settings": settings, "questions": len(found.targets), "seed": options.seed}
    result = options.json_out or options.out / RESULT
    atomic_write(result, report.as_json(search, about) + "\n")
    kinds = search.state.kinds
    if kinds:
        atomic_write(options.out / PROBES, report.as_probes(search))
        console.print(report.table(kinds))
    else:
        (options.out / PROBES).unlink(missing_ok=True)
    scorer = search.scorer
    if scorer.always:
        says = f"paid for anything, so wrong answers have it too: {', '.join(sorted(scorer.always))}"
        console.print(says, markup=False, highlight=False)
    if not search.state.carriers:
        says = (
            "no wrong answer earns nothing by itself, so no mutation could be tried: "
            "give more rows, or look at the kinds above first"
        )
        console.print(says, highlight=False)
    told = f"{len(scorer.journal.outcomes)} replies, {scorer.journal.calls} calls of at most {options.budget}: "
    if not kinds:
        console.print(f"[green]{told}no wrong answer that pays was found[/]; {result}", highlight=False)
        return 0
    how_many = f"{len(kinds)} kinds of wrong answers pay" if len(kinds) > 1 else "one kind of wrong answers pays"
    console.print(f"[red]{told}{how_many}[/]; {result}", highlight=False)
    console.print(
        f"as probes: medix-r1 reward probe --probes {options.out / PROBES} ...", markup=False, highlight=False
    )
    return 1
