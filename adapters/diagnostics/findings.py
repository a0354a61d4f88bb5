"""Findings on chest radiographs of adults, several at once: the trunk on 64 x 64 pixels, judged on patients unseen."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from mainstem.adapters.diagnostics.machines import machines
from mainstem.adapters.diagnostics.plain import Regressions, WithPlain, restored
from mainstem.adapters.diagnostics.radiographs import (
    META,
    Radiographs,
    moved,
    pixels_of,
    scope_of,
    standardised,
    told_of,
)
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Sample
from mainstem.core.targets import Findings
from mainstem.core.targets.odds import likely_of
from mainstem.core.task import DataRequest, FitConfig, Grouping, Holding, Order, Task
from mainstem.core.training import TrainingConfig
from mainstem.data.medical.chest import SIDE, open_chest

Array = NDArray[np.float64]
EPOCHS, BATCH, RATE = 8, 32, 1e-3  # of the convolutional baseline


def read(request: DataRequest) -> SampleSet:
    """Read the radiographs that a user asks for."""
    return open_chest(request.data, request.mirror, told_of(request))


def prepare(samples: Sequence[Sample], order: Order) -> WithPlain:
    """Fit on training samples; the trunk is shown the principal components too."""
    images = replace(Radiographs.fit(samples), shows_components=True)
    return WithPlain(images=images, plain=Regressions.fit(samples, _truth(samples)))


def _truth(samples: Sequence[Sample]) -> Array:
    """What is there (samples, findings)."""
    return np.stack([np.asarray(sample.target, np.float64) for sample in samples])


def baselines(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> dict[str, Array]:
    """Return each finding's probability by SVMs, by the plain model beside the trunk, and by a DenseNet-121."""
    truth = _truth(train)
    return {
        "svm_on_components": machines(train, truth, test, seed),
        "regressions": likely_of(Regressions.fit(train, truth).log_odds(test), 1.0, 0.0),
        "densenet": _densenet(pixels_of(train), truth, pixels_of(test), seed),
    }


def _densenet(seen: Array, truth: Array, asked: Array, seed: int) -> Array:
    """MONAI's DenseNet-121 of a quarter of its width, trained from nothing on standardised images.

    Source: Huang et al. 2017, Densely Connected Convolutional Networks, table 1.
    """
    from monai.networks.nets import DenseNet

    torch.manual_seed(seed)
    net = DenseNet(2, 1, truth.shape[1], init_features=16, growth_rate=8, block_config=(6, 12, 24, 16))
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE)
    images, told = (torch.from_numpy(standardised(pixels)).float().view(-1, 1, SIDE, SIDE) for pixels in (seen, asked))
    aims = torch.from_numpy(truth).float()
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(images)), BATCH):
            if len(rows) > 1:  # the norm of a batch of one is none
                loss = F.binary_cross_entropy_with_logits(net(images[rows]), aims[rows])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    net.eval()
    with torch.no_grad():
        found: Array = net(told).sigmoid().double().numpy()
    return found


TASK = Task(
    name="diagnostics",
    task="findings",
    version="1",
    target=Findings(),
    config=FitConfig(
        trunk_size="xs",
        training=TrainingConfig(epochs=12, batch_size=64, lr_per_step=2e-3, dropout=0.1),
        num_folds=5,
        patch_size=8,
    ),
    read=read,
    prepare=prepare,
    restore=partial(restored, Regressions.restore),
    options=(META,),
    scope_of=scope_of,
    holding=Holding(protocol="grouped-folds", only_same_data=True),
    grouping=Grouping(name="patient", are_persons=True),
    optional=(),
    augment=moved,
    baselines=baselines,
    subgroups=("sex", "age_band", "view"),
    known_failures=(
        "research use only, not a medical device",
        "adults of one hospital, seen at 64 x 64 pixels; findings were mined from reports, one in ten wrongly",
        "tells little: of patients that neither training nor weighing saw a mean area under the curve of .64, and at "
        "90 % each finding stays open on half to three quarters of the images",
        "what it tells as present is suspected, no more: held out, 5 of 56 images told to show a nodule did, 56 of 214 "
        "an effusion; of those that show one, 3 of 33 and 6 of 158 were told not to",
        "no triage: something is suspected on 64 % of images with a finding and on 44 % of those without, and of 824 "
        "images none is told to show nothing",
        "the view is a confounder: who cannot stand is taken anterior-posterior, and is sicker",
        "Consolidation, Mass, Pneumothorax, Edema, Fibrosis, Emphysema, Pleural_Thickening, Pneumonia and Hernia are "
        "not looked for: fewer than 20 patients show them",
    ),
)
