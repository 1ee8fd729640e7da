"""Merges a training checkpoint into a model folder that transformers and vLLM load.

It reads verl's shards parameter by parameter (fsdp_shards.py), checks them against the architecture (blueprint.py),
merges or exports a LoRA adapter (lora.py), and streams safetensors (weights.py) into a folder that is renamed when
complete (atomic_folder.py). At most two copies of one parameter are in memory, never the whole model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from medix_r1.checkpoints import like, model_files
from medix_r1.checkpoints.atomic_folder import atomic_folder
from medix_r1.checkpoints.json_files import read_object
from medix_r1.checkpoints.model_card import base_model, model_card
from medix_r1.checkpoints.options import READERS, Options
from medix_r1.checkpoints.parameters import blueprint as blueprints
from medix_r1.checkpoints.parameters import lora
from medix_r1.checkpoints.parameters.blueprint import Blueprint
from medix_r1.checkpoints.parameters.fsdp_shards import Parameter, open_shards
from medix_r1.checkpoints.parameters.weights import Entry, Writer
from medix_r1.checkpoints.source import actor_of, files_of, find, ranks_of
from medix_r1.checkpoints.target import check_disk, check_target, explained, resolved
from medix_r1.checkpoints.verification import logits as verify
from medix_r1.checkpoints.verification import vllm as verify_vllm
from medix_r1.checkpoints.watch import Watch
from medix_r1.errors import CheckpointError

_DTYPES = {"trained": None, "bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_DISK_RESERVE = 64 * 1024 * 1024  # bytes, for all files but weights

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Hooks:
    """What happens beside the writing.

    Attributes:
        start: starts a progress bar for a number of bytes; returns what advances it.
        watch: notices when the checkpoint changes.
        say: prints a line.
    """

    start: Callable[[int], Advance]
    watch: Watch
    say: Callable[[str], None]


def merge(
    checkpoint: Path,
    out: Path,
    *,
    force: bool = False,
    options: Options | None = None,
    console: Console | None = None,
) -> Path:
    """Merge a checkpoint, or the newest complete one of a run; return the checkpoint that was merged.

    Args:
        checkpoint: RUN/checkpoints/global_step_N, or RUN.
        out: the model's folder, written atomically.
        force: replace an existing model folder.
        options: format of the output.
        console: for a progress bar.

    Raises:
        CheckpointError: there is no complete checkpoint, its parameters are not those of the model, `out` must not be
            written, or the system refuses to read or write.
    """
    options = options or Options()
    source = find(checkpoint, unsealed=options.unsealed)
    out = resolved(out)
    base = base_model(source)
    check = partial(check_target, out, force=force, base=Path(base) if base is not None else None)
    check()  # before anything is created
    say = partial((console or Console(quiet=True)).print, highlight=False, markup=False)
    write = _write_adapter if options.adapter else _write_model
    try:
        with atomic_folder(out, check) as folder, _progress(console) as start:
            watch = Watch(files_of(source))
            write(source, folder, options, _Hooks(start, watch, say))
            watch.look()
    except OSError as error:
        raise explained(error, out, source) from None
    return source


def _write_model(source: Path, folder: Path, options: Options, hooks: _Hooks) -> None:
    actor = actor_of(source)
    blueprint = blueprints.build(actor / "huggingface")
    base, adapter = lora.split(open_shards(actor, ranks_of(actor)), actor)
    if adapter is not None:
        lora.check_mergeable(base, adapter, actor)
    if problems := blueprint.problems(base):
        raise CheckpointError(
            f"{actor} is not a whole {type(blueprint.model).__name__}: {'; '.join(problems)}", code="not-a-whole-model"
        )
    written = _untie(base, blueprint.tied)
    stored = {name: blueprint.stored(name) for name in written}
    entries = {
        key: Entry(_dtype(written[name].dtype, options), shape)
        for name, shapes in stored.items()
        for key, shape in shapes.items()
    }
    size = sum(entry.size for entry in entries.values())
    check_disk(folder, size + _DISK_RESERVE)
    with Writer(folder, entries, shard_size=options.shard_size, advance=hooks.start(size)) as writer:
        for name, parameter in written.items():
            hooks.watch.glance()
            _write_parameter(writer, name, parameter, blueprint, adapter)
    model_files.copy(actor / "huggingface", folder)
    if options.like is not None:
        like.copy_like(like.settings_of(options.like), folder)
    dropped = model_files.write_config(folder, dtype=_main_dtype(entries), is_tied=bool(blueprint.tied))
    if dropped:
        hooks.say(f"left out of config.json, because the merged weights are plain: {', '.join(dropped)}")
    model_files.write_older_forms(folder)
    card = model_card(source, dtype=_main_dtype(entries))
    (folder / "README.md").write_text(card, encoding="utf-8")
    model_files.check_complete(folder)
    if options.verify:
        _verify(actor / "huggingface", base, adapter, folder, options, hooks.say)


def _verify(
    huggingface: Path,
    base: Mapping[str, Parameter],
    adapter: lora.Adapter | None,
    folder: Path,
    options: Options,
    say: Callable[[str], None],
) -> None:
    for reader in READERS[options.verify_with]:
        if reader == "transformers":
            share = verify.compare(huggingface, base, adapter, folder)
            say(f"transformers answers as the shards do: logits differ by {share:.1g} of the largest one")
        else:
            dtype = str(read_object(folder / "config.json")["dtype"])
            found = verify_vllm.compare(huggingface, base, adapter, folder, dtype)
            say(
                f"vLLM answers as the shards do: {found.tokens} tokens, whose log-probabilities differ by "
                f"{found.difference:.1g} nats"
            )


def _write_parameter(
    writer: Writer, name: str, parameter: Parameter, blueprint: Blueprint, adapter: lora.Adapter | None
) -> None:
    is_adapted = adapter is not None and name in adapter.modules
    if not is_adapted and not blueprint.is_converted(name):
        writer.write(name, parameter.blocks())
        return
    tensor = parameter.read()
    if adapter is not None and is_adapted:
        adapter.add_to(tensor, name)
    for key, value in blueprint.convert(name, tensor).items():
        writer.write(key, [value])


def _write_adapter(source: Path, folder: Path, options: Options, hooks: _Hooks) -> None:
    actor = actor_of(source)
    blueprints.refuse_code(actor / "huggingface")
    _, adapter = lora.split(open_shards(actor, ranks_of(actor)), actor)
    if adapter is None:
        raise CheckpointError(f"{actor}: no LoRA adapter in there; leave --adapter out", code="no-adapter")
    tensors = lora.peft_tensors(adapter)
    entries = {name: Entry(_dtype(parameter.dtype, options), parameter.shape) for name, parameter in tensors.items()}
    advance = hooks.start(sum(entry.size for entry in entries.values()))
    with Writer(folder, entries, name="adapter_model", shard_size=1 << 62, advance=advance) as writer:
        for name, parameter in tensors.items():
            hooks.watch.glance()
            writer.write(name, parameter.blocks())
    model_files.copy(actor / "huggingface", folder)
    model_files.write_older_forms(folder)
    (folder / "config.json").unlink()  # with it, loaders would take the folder for a full model
    (folder / "generation_config.json").unlink(missing_ok=True)
    lora.write_config(adapter, folder, base_model(source))
    card = model_card(source, dtype=_main_dtype(entries), is_adapter=True)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _dtype(trained: torch.dtype, options: Options) -> torch.dtype:
    wanted = _DTYPES[options.dtype]
    return wanted if wanted is not None and trained.is_floating_point else trained


def _main_dtype(entries: Mapping[str, Entry]) -> str:
    sizes: dict[torch.dtype, int] = {}
    for entry in entries.values():
        sizes[entry.dtype] = sizes.get(entry.dtype, 0) + entry.size
    return str(max(sizes, key=lambda dtype: sizes[dtype])).removeprefix("torch.")


def _untie(base: Mapping[str, Parameter], tied: Mapping[str, str]) -> dict[str, Parameter]:
    """Keep one parameter of each tied pair, the one that the loader shares; storing both would untie them."""
    written = dict(base)
    for target, source in tied.items():
        if target not in written:
            continue
        twin = written.pop(target)
        if source not in written:
            written[source] = twin
        elif not _are_equal(twin, written[source]):
            raise CheckpointError(
                f"{target} and {source} are tied in config.json and differ in the checkpoint", code="tied-but-different"
            )
    return written


def _are_equal(one: Parameter, other: Parameter) -> bool:
    return (
        [piece.region for piece in one.pieces] == [piece.region for piece in other.pieces]
        and one.dtype == other.dtype
        and all(torch.equal(a.tensor, b.tensor) for a, b in zip(one.pieces, other.pieces, strict=True))
    )


@contextmanager
def _progress(console: Console | None) -> Iterator[Callable[[int], Advance]]:
    """Yield a function that starts a progress bar for a number of bytes and returns the function that advances it."""
    columns = (TextColumn("merge"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    shown = console is not None and console.is_terminal  # elsewhere it would leave an empty line
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:

        def start(total: int) -> Advance:
            task = progress.add_task("merge", total=total)
            return lambda size: progress.advance(task, size)

        yield start
