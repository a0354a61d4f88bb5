"""Which digit is spoken: the trunk on log-mel energies, and a small convolutional network beside it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mainstem.adapters.media.log_mel import in_steps
from mainstem.adapters.media.voices import Heard, Voices, other_voices, restore
from mainstem.core.folds import targets_of
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Classes
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.media.spoken_digits import SPOKEN_DIGITS, open_spoken_digits

Array = NDArray[np.float64]
SVM_STEPS, SVM_COST = 20, 10.0


def read(request: DataRequest) -> SampleSet:
    """Read the recordings that a user asks for."""
    return open_spoken_digits(request.data, request.mirror)


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Digits by a support vector machine on log-mel energies, and the commonest one."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    labels = targets_of(train).astype(np.int64)
    seen, asked = (
        in_steps(Heard.of(samples).pictures, SVM_STEPS).reshape(len(samples), -1) for samples in (train, test)
    )
    svm = make_pipeline(StandardScaler(), SVC(C=SVM_COST)).fit(seen, labels)
    return {
        "commonest": np.full(len(test), float(np.bincount(labels).argmax())),
        "svm_log_mel": svm.predict(asked).astype(np.float64),
    }


TASK = Task(
    name="media",
    task="spoken-digits",
    version="1",
    target=Classes(by_class=False, headline="accuracy"),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=10, batch_size=64, lr_per_step=2e-3, dropout=0.1),
        num_folds=6,
        steps_per_token=4,
    ),
    read=read,
    prepare=Voices.fit,
    restore=restore,
    augment=other_voices,
    optional=(),
    baselines=baselines,
    holding=Holding(unseen_folds=6),
    grouping=Grouping(name="speaker", are_persons=True),
    sets=(SPOKEN_DIGITS,),
    known_failures=(
        "six speakers taught it, five of them men by the set's metadata.py, which does not tell of lucas: nothing at "
        "90 % is guaranteed of another one",
        "it names a digit whatever is said, and no alarm hears that: of 461 stretches of speech between pauses, 0.2 to "
        "0.9 s, of 18 readers who say no digit there (librispeech-mini), none was refused; 15 % were called a digit at "
        "90 % or more, where 66 % of the test's digits were. Sets at 90 % told it: 7.7 digits of ten on average, one "
        "alone in 1 %",
        "one word a file, in English",
    ),
)
