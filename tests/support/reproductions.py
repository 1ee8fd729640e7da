"""Runs scripts of docs/upstream/ and keeps what each printed: `python -m tests.support.reproductions JSON SCRIPT…`.

Each script runs in a process of its own that is forked from one which has imported verl and vLLM: importing them anew
for each would take minutes.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import runpy
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

PRELOADED = ["verl.trainer.ppo.v1.trainer_base", "verl.workers.rollout.vllm_rollout.vllm_async_server"]
PRELOADED += ["verl.workers.engine.fsdp.transformer_impl", "vllm.v1.worker.gpu_model_runner"]
# Nothing of ours may help: neither our plug-in of verl nor that of vLLM.
CLEAN = {"VERL_USE_EXTERNAL_PLUGINS": "none", "VERL_USE_EXTERNAL_MODULES": "", "VERL_PLATFORM": "", "VLLM_PLUGINS": ""}


def run(script: str, output: str) -> None:
    """Run a script as a program, with what it prints (and how it failed) in a file."""
    with Path(output).open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            runpy.run_path(script, run_name="__main__")
        except BaseException:  # noqa: BLE001 (the script's own failure is the finding)
            traceback.print_exc(file=file)


def main(result: str, scripts: list[str]) -> None:
    os.environ.update(CLEAN)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    printed = {}
    with tempfile.TemporaryDirectory() as folder:
        for script in scripts:
            output = f"{folder}/{Path(script).stem}.txt"
            process = context.Process(target=run, args=(script, output))
            process.start()
            process.join()
            printed[Path(script).stem] = Path(output).read_text(encoding="utf-8")
    Path(result).write_text(json.dumps(printed), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
