"""The judge server of a run: started with it, watched, and started again when it dies.

Training waits meanwhile: reward workers repeat failed calls for `judge.client.patience` seconds.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from medix_r1.errors import ServerError
from medix_r1.runs.folder import RunFolder
from medix_r1.serving import server

_FIRST_DELAY, _LONGEST_DELAY = 2.0, 60.0  # seconds before the first restart, doubled for each further one
_ADVICE = "Look at its log: out of memory is the usual reason; lower --gpu-memory-utilization or --max-num-seqs."


class JudgeServer:
    """Starts the server on creation; `check`, called now and then, does the rest.

    Args:
        folder: gets the events.
        settings: what to serve; `restarts` limits how often it is started again.
        log: the output of all its processes is appended there.
        first_delay: seconds between the first death and the restart; doubled each time, up to 60.

    Raises:
        ServerError: the server cannot be started at all (no vLLM, port in use).
    """

    def __init__(
        self, folder: RunFolder, settings: server.ServerSettings, log: Path, first_delay: float = _FIRST_DELAY
    ) -> None:
        self._folder, self._settings, self._log, self._first_delay = folder, settings, log, first_delay
        self._restarts = 0
        self._ready = False
        self._restart_at = 0.0  # when a dead server is started again
        self._given_up = False
        self._process: subprocess.Popen[bytes] | None = self._start()

    def check(self) -> None:
        """Add an event when the judge becomes ready or dies; start it again when its delay is over.

        Raises:
            ServerError: the judge did not become ready when the run started. A later failure is no error: the run
                waits for `judge.client.patience`, and then stops with a checkpoint.
        """
        if self._given_up:
            return
        try:
            self._watch()
        except ServerError as error:
            if not self._restarts:
                raise
            self._died(str(error))

    def _watch(self) -> None:
        if self._process is None:
            if time.monotonic() >= self._restart_at:
                self._process = self._start()
        elif not self._ready:
            waited = time.monotonic() - self._started
            if server.is_ready(self._settings, self._process, self._log, waited):
                self._ready = True
                self._folder.add_event("judge_ready", seconds=waited)
        elif (code := self._process.poll()) is not None:
            self._died(f"the judge server ended with code {code}; see {self._log}")

    def _start(self) -> subprocess.Popen[bytes]:
        self._started, self._ready = time.monotonic(), False
        self._folder.add_event("judge_starting", model=self._settings.served_name, address=self._settings.address)
        with self._log.open("ab") as file:
            return server.start(self._settings, file)

    def _died(self, reason: str) -> None:
        """End what the dead server left (its engine holds the GPU's memory), and plan the restart."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        allowed = self._settings.restarts
        if self._restarts >= allowed:
            self._given_up = True
            message = f"{reason}; it is not started again (judge.server.restarts={allowed})"
            name = "judge_given_up"
        else:
            delay = min(self._first_delay * 2**self._restarts, _LONGEST_DELAY)
            self._restarts += 1
            self._restart_at = time.monotonic() + delay
            message = f"{reason}; start {self._restarts} of at most {allowed} follows in {delay:.0f} s"
            name = "judge_restarted"
        step = max(self._folder.metrics_by_step(), default=0)
        self._folder.add_event("alarm", step=step, name=name, message=message, advice=_ADVICE)
