"""Models of endless streams: what they know so far is a value that is handed on, never hidden in the model."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from mainstem.core.prediction import Prediction
from mainstem.core.stream import Sample

State = TypeVar("State")


class Streaming(Protocol[State]):
    """A model that reads a stream piece by piece.

    A state is a plain value: it is not changed by a step, so that it can be kept, saved and gone on from, and two
    streams can be read by one model in turns. How the stream is cut into steps changes no prediction.
    """

    def init_state(self) -> State:
        """What is known before anything was seen."""
        ...

    def step(self, state: State, samples: Sequence[Sample]) -> tuple[State, Prediction]:
        """Take in samples, in order of time; return what is known now, and a prediction for the last instant.

        A sample without values, a gap, moves time on alone.
        """
        ...


def run_stream(
    model: Streaming[State], batches: Iterable[Sequence[Sample]], state: State | None = None
) -> Iterator[tuple[State, Prediction]]:
    """Step through batches of samples as they come, from the start or from a state that was kept.

    Neither batches nor predictions are held: memory does not grow with the length of the stream. Each state is given
    out with its prediction, to go on from later.
    """
    known = model.init_state() if state is None else state
    for samples in batches:
        known, prediction = model.step(known, samples)
        del samples  # while the next batch is waited for
        yield known, prediction
