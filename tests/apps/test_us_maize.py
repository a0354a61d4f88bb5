"""The promise on real counties: better than every baseline, intervals that hold, a drought that withdraws the claim."""

import pytest

from mainstem.adapters.crop_yield import TASK
from mainstem.apps.evaluate import evaluate
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.finetuning import FitSpec
from mainstem.core.task import DataRequest


@pytest.mark.slow
@pytest.mark.mirror
@pytest.mark.timeout(1800)
def test_counties_are_predicted_better_than_by_every_baseline():
    result = evaluate(TASK, DataRequest(data="us-maize"), EvaluationSpec(fit=FitSpec(config=TASK.config)))
    assert result["n"] == 4137
    for name, difference in result["difference"].items():
        has_the_same_inputs = name.endswith(("_on_departures", "_of_rivals"))
        assert difference["verdict"] != "worse" if has_the_same_inputs else difference["value"] < 0, name
    assert 0.88 <= result["training_groups"]["coverage_pooled"] <= 0.92
    assert result["training_groups"]["alarm_quiet_share"] >= 0.68  # 0.8 less a standard error of twelve years
    assert result["coverage"]["by_group"]["2012"]["claim"] == "withdrawn"
