"""Child processes that never outlive the program that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

#: what a terminated process gets to finish, seconds.
PATIENCE_S = 15.0


class Child:
    """One `semantic-field` subcommand in a process group of its own, logging to a file.

    Attributes:
        name: what it is called in messages.
        log: its output.
        pid: its process id.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        """Starts it."""
        self.name, self.log = name, log
        command = [sys.executable, "-m", "semantic_field_ros.cli", *arguments]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C reaches only the parent, which ends the children
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Raises RuntimeError with the end of the log if the process failed."""
        code = self._process.poll()
        if code not in (None, 0):
            raise RuntimeError(
                f"{self.name} ended with code {code}; {self.log} ends:\n{self.tail()}"
            )

    def finished(self) -> bool:
        """Whether it has ended well; raises RuntimeError if it failed."""
        self.check()
        return self._process.poll() == 0

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def peak_memory_mb(self) -> float | None:
        """Most resident memory so far, MB (10⁶ bytes); None where /proc does not tell."""
        return peak_memory_mb(self.pid)

    def stop(self) -> None:
        """Ends the whole group: asks, waits, insists."""
        for number, patience_s in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, PATIENCE_S)):
            if self._process.poll() is not None:
                return
            try:
                os.killpg(self.pid, number)
                self._process.wait(patience_s)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def forget_peak_memory() -> bool:
    """Starts `peak_memory_mb` of this process anew; False where the system does not allow it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_memory_mb(pid: int | None = None) -> float | None:
    """Most resident memory of a process (None: this one) so far, MB; None where it is unknown.

    For this one, since the last `forget_peak_memory` if there was any.
    """
    status = Path(f"/proc/{pid or os.getpid()}/status")
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None
