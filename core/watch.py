"""What goes on beside a training: who else trains, what is saved and taken up again, what is noted, who says stop."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field
from torch import nn

from mainstem.core.distributed import World
from mainstem.core.errors import ArtifactError
from mainstem.core.interruptions import Interrupted, Interruptions, Wish, is_preempted, requeue
from mainstem.core.metrics_log import MetricsLog
from mainstem.core.train_state import TrainState, identity_of

if TYPE_CHECKING:
    from mainstem.core.checkpoint import Checkpoints

SHORT_S = 5.0  # a training that took less is begun anew rather than saved when it ends
PREEMPTED_S = 1.0  # between two looks at a job that waits to be ended
LOG_FILE = "metrics.jsonl"
Identity = Mapping[str, str]
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When a training's state is saved; 0 for never. At most so many steps, or seconds, are lost to a kill."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    every_steps: Annotated[int, Field(ge=0, le=10**9)] = 0
    every_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 300.0
    keep: Annotated[int, Field(ge=2, le=1000)] = 2
    time_limit_s: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = 0.0  # then: save, queue again, end


def note(text: str) -> None:
    """Tell whoever listens to the log."""
    logging.getLogger("mainstem.training").warning("%s", text)


class Watch:
    """Watches over a command's trainings, one after the other; by default it saves, notes and hears nothing.

    Args:
        folder: where the state of trainings is kept, `training-000` for the first; None to keep none.
        config: how often.
        identity: what the command trains with, by name, as {"config": sha256}.
        world: the processes that train as one.
        say: told in a line what could not be saved or read.
    """

    def __init__(
        self,
        folder: Path | None = None,
        config: CheckpointConfig | None = None,
        identity: Identity | None = None,
        world: World | None = None,
        *,
        say: Say = note,
    ) -> None:
        self.world = World() if world is None else world
        self.folder, self.say, self.identity = folder, say, dict(identity or {})
        self.config = CheckpointConfig() if config is None else config
        self.interruptions = Interruptions(self.config.time_limit_s)
        self.log = MetricsLog(folder / LOG_FILE) if folder is not None and self.world.is_first else None
        self._training = -1
        self._checkpoints: Checkpoints | None = None
        self._saved_at, self._saved_step, self._begun = time.monotonic(), -1, time.monotonic()

    @contextmanager
    def requeued(self) -> Iterator[None]:
        """Have Slurm queue the job again where a training ended for it; no process leaves before that is asked for.

        A job that is preempted and leaves before its grace is over counts as failed, and is not queued again: it stays.
        """
        try:
            with self.interruptions.between(is_alone=self.world.size == 1):
                yield
        except Interrupted as ended:
            if ended.wish == "requeue" and self.world.is_first:
                self.say(requeue())
            while ended.wish == "stop" and self.world.is_first and is_preempted():
                time.sleep(PREEMPTED_S)
            self.world.told("")
            raise

    @contextmanager
    def over(self, state: TrainState, begun_with: nn.Module) -> Iterator[None]:
        """Watch over one training, taken up where it was left; `begun_with` are its weights before it began."""
        self._training += 1
        self._saved_step, self._begun = -1, time.monotonic()
        if self.folder is None:
            yield
            return
        from mainstem.core.checkpoint import Checkpoints  # late: it takes half a second, and prediction needs none

        identity = {**self.identity, **(identity_of(begun_with) if self.world.is_first else {})}
        folder = self.folder / f"training-{self._training:03d}"
        self._checkpoints = Checkpoints(folder, identity, self.world, keep=self.config.keep, say=self.say)
        try:
            self._take_up(state)
            with self.interruptions.heard():
                yield
        finally:
            self._checkpoints.close()
            if self.log is not None:
                self.log.flush()

    def _take_up(self, state: TrainState) -> None:
        assert self._checkpoints is not None
        found = self._checkpoints.newest()
        if found is not None:
            tensors = state.places(self._checkpoints.names(found), self.world.rank)
            self._checkpoints.load(found, tensors)
            state.restore(found.step, tensors, self.world.rank)
            self._saved_step = found.step
        if self.log is not None:
            self.log.begin(self._training, state.step)

    def after_step(
        self, state: TrainState, steps: int, loss: float, samples: int, figures: Mapping[str, float]
    ) -> None:
        """Note a step, save where it is time to, and end where that is asked for.

        All processes agree on the step, by what any of them heard, and by the first one's clock.

        Raises:
            Interrupted: once the state is saved.
        """
        if self.log is not None:
            self.log.add(state.step, steps, samples, {"loss": loss, **figures})
        wish = self.interruptions.wish() if self.folder is not None else ""
        is_due = self.world.is_first and self._is_due(state.step)
        stop, again, due = self.world.sums(wish == "stop", wish == "requeue", is_due)
        if stop or again:
            self._end_early(state, "stop" if stop else "requeue")
        elif due:
            self._save(state)
        if state.step == steps:
            self._keep_end(state)

    def _is_due(self, step: int) -> bool:
        config = self.config
        return bool(
            (config.every_steps and step % config.every_steps == 0)
            or (config.every_s and time.monotonic() - self._saved_at >= config.every_s)
        )

    def _save(self, state: TrainState, *, is_final: bool = False) -> None:
        if self._checkpoints is None or self._saved_step == state.step:
            return
        if self.log is not None:
            self.log.flush(is_durable=True)
        self._checkpoints.save(state.step, state.tensors(self.world.rank, is_final=is_final))
        self._saved_at, self._saved_step = time.monotonic(), state.step

    def _end_early(self, state: TrainState, wish: Wish) -> None:
        if self._checkpoints is not None:
            self._save(state)
            if not self._checkpoints.wait():
                raise ArtifactError(f"asked to {wish}, and the last {state.step} steps could not be saved; free space")
        raise Interrupted(wish, state.step)

    def _keep_end(self, state: TrainState) -> None:
        """Save what a training ends with, where it would take long to come to it again."""
        took_long = bool(self.config.every_s) and time.monotonic() - self._begun >= SHORT_S
        is_kept = took_long or bool(self.config.every_steps)
        if self.world.sums(self.world.is_first and is_kept)[0]:
            self._save(state, is_final=True)
