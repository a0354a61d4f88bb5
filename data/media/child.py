"""A process that reads foreign files for this one: what ends it is an error of the file that did."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from typing import Any

START_S = 120.0  # to load its libraries, on a machine that is busy


@dataclass(eq=False)
class Child:
    """One process, started when it is first asked and anew after it was ended.

    Attributes:
        module: what it runs. It is told the number of its end of a pipe, says when it is ready, and answers one request
            in JSON after the other.
        most_answer: bytes of an answer's part, beyond which it is ended.
    """

    module: str
    most_answer: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    process: "subprocess.Popen[bytes] | None" = None
    pipe: Connection | None = None

    def ask(self, request: Mapping[str, Any], seconds: float, num_parts: int = 1) -> list[bytes]:
        """Return an answer's parts.

        Raises:
            OSError, EOFError: if it ended, was too slow, or told too much; then it is stopped.
        """
        with self.lock:
            try:
                return self._ask(json.dumps(request).encode(), seconds, num_parts)
            except (OSError, EOFError):
                self.stop()
                raise

    def _ask(self, request: bytes, seconds: float, num_parts: int) -> list[bytes]:
        if self.process is None or self.process.poll() is not None:
            self._start()
        assert self.pipe is not None
        self.pipe.send_bytes(request)
        if not self.pipe.poll(seconds):
            raise TimeoutError
        return [self.pipe.recv_bytes(self.most_answer) for _ in range(num_parts)]

    def _start(self) -> None:
        self.stop()
        self.pipe, theirs = Pipe()
        # the folders that this process imports from; none of them is the current one unless it is here, too
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-P", "-m", self.module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        if not self.pipe.poll(START_S):
            raise TimeoutError
        self.pipe.recv_bytes(self.most_answer)  # that it is ready

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.pipe is not None:
            self.pipe.close()
        self.process = self.pipe = None
