"""Local labels: what they earn, what is said of them, and the line that they teach a model of simulations."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mainstem.apps.calibrate import CalibrationSpec, calibrate
from mainstem.apps.finetune import finetune
from mainstem.core.conformal import Calibration
from mainstem.core.errors import CalibrationError
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import load_fitted
from mainstem.core.means import mean_view
from mainstem.core.predict import predict
from mainstem.core.prediction import Prediction
from mainstem.core.preparation import MeanOffset, restore_plain
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.targets.lines import LEAST_SLOPE
from mainstem.core.task import DataRequest, FitConfig, Grouping, Task
from mainstem.core.training import TrainingConfig

pytestmark = pytest.mark.long


def adjusted(mean, scale, truth, groups):
    """What is told once a line is learned from truths, its scale, and the line."""
    nothing = np.zeros(len(mean))
    raw = {"past": np.asarray(mean, float), "plain": nothing, "trunk": nothing, "scale": np.asarray(scale, float)}
    told, blend = Quantity(units="t/ha").learn_line([raw], {"share": 0.0, "gate": 0.0}, truth, groups)
    return told["mean"], told["scale"], (blend["slope"], blend["intercept"])


def test_each_group_is_told_by_the_line_through_the_others():
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c"], [4, 3, 5])
    mean, scale = rng.normal(8, 1, 12), rng.uniform(0.5, 1.5, 12)
    truth = 1.5 * mean - 2 + rng.normal(0, 0.3, 12)
    told, width, line = adjusted(mean, scale, truth, groups.tolist())
    for group in "abc":
        held = groups == group
        slope, intercept = np.polyfit(mean[~held], truth[~held], 1)
        np.testing.assert_allclose(told[held], slope * mean[held] + intercept)
        np.testing.assert_allclose(width[held], slope * scale[held])
    np.testing.assert_allclose(line, np.polyfit(mean, truth, 1))


def test_what_holds_of_one_group_alone_does_not_flatter_it():
    """Two groups lie on a line, a third 6 t/ha above it: it is told 6 too little, whatever its own labels say."""
    mean = np.tile([6.0, 7.0, 8.0], 3)
    truth = mean + np.repeat([0.0, 0.0, 6.0], 3)
    told, _, _ = adjusted(mean, np.ones(9), truth, np.repeat(["a", "b", "odd"], 3).tolist())
    np.testing.assert_allclose((truth - told)[6:], 6.0)


def test_scales_stay_positive_where_truth_falls_as_the_model_rises():
    mean = np.tile([6.0, 7.0, 8.0], 3)
    _, width, (slope, _) = adjusted(mean, np.ones(9), -mean, np.repeat(["a", "b", "c"], 3).tolist())
    assert slope == LEAST_SLOPE
    assert width == pytest.approx(LEAST_SLOPE)


QUICK = FitConfig(
    trunk_size="xs", training=TrainingConfig(epochs=2, batch_size=64, lr_per_step=3e-3), num_folds=3, num_gap_draws=1
)
A_YEAR, A_FIELD = 24, 4


def samples_of(years: Sequence[object], seed: int, *, simulated: bool = False, slope: float = 1.0) -> list[Sample]:
    """Rain and heat of pixels of fields; the target follows rain, and errs by the year and the field."""
    rng = np.random.default_rng(seed)
    found = []
    for year in years:
        of_year, of_field = rng.normal(0, 0.3), rng.normal(0, 0.4, A_YEAR // A_FIELD)
        for place in range(A_YEAR):
            rain, heat = rng.normal(0, 1, 2)
            streams = {
                name: Stream(kind="scalar", values=np.array([value]), channels=(Channel(name=name, unit="1"),))
                for name, value in (("rain", rain), ("heat", heat))
            }
            source = Provenance(
                data="made", item=f"{place} {year}", group=str(year), licence="CC0-1.0", simulated=simulated,
                facts={"field": f"{year} {place // A_FIELD}"},
            )  # fmt: skip
            target = slope * (2 * rain + 20) + of_year + of_field[place // A_FIELD] + rng.normal(0, 0.5)
            found.append(Sample(streams=streams, target=target, source=source))
    return found


SETS = {
    "past": samples_of(range(2000, 2012), 0),
    "later": samples_of(range(2012, 2024), 1),
    "farms": samples_of([f"farm {number:02d}" for number in range(12)], 0, simulated=True),
    "harvests": samples_of([f"field {number:02d}" for number in range(24)], 4, slope=0.5),
    "simulated": samples_of(range(2000, 2012), 0, simulated=True),
    "real": samples_of(range(2012, 2036), 4, slope=0.5),
}


def read(request: DataRequest) -> SampleSet:
    samples = tuple(SETS[request.data])
    return SampleSet(
        name=request.data, samples=samples, flagged={}, attribution="made", licence="CC0-1.0",
        simulated=all(sample.source.simulated for sample in samples),
    )  # fmt: skip


def without(samples: Sequence[Sample], *names: str) -> list[Sample]:
    return [replace(s, streams={n: one for n, one in s.streams.items() if n not in names}) for s in samples]


def moved(samples: Sequence[Sample], by_year: Sequence[float]) -> list[Sample]:
    """The samples with what is added to the target of each year by turns."""
    years = sorted({str(sample.source.group) for sample in samples})
    added = {year: by_year[row % len(by_year)] for row, year in enumerate(years)}
    return [replace(sample, target=sample.target + added[str(sample.source.group)]) for sample in samples]


def nameless(samples: Sequence[Sample]) -> list[Sample]:
    """The samples without the field that each belongs to."""
    return [replace(sample, source=replace(sample.source, facts={})) for sample in samples]


def one_field_each(samples: Sequence[Sample]) -> list[Sample]:
    return [
        replace(sample, source=replace(sample.source, facts={"field": f"plot {row}"}))
        for row, sample in enumerate(samples)
    ]


TASK = Task(
    name="made", task="table", version="1", target=Quantity(units="t/ha"), config=QUICK, read=read,
    prepare=lambda samples, order: MeanOffset.fit(samples), restore=restore_plain, grouping=Grouping(mean_of="field"),
)  # fmt: skip
EARLY = replace(
    TASK,
    views={"late": lambda sample: sample, "early": lambda sample: without([sample], "rain")[0]},
    view_of=lambda sample: "late" if "rain" in sample.streams else "early",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, task in (("past", TASK), ("early", EARLY), ("farms", TASK), ("simulated", TASK)):
        finetune(
            task, read(DataRequest(data="past" if name == "early" else name)), FitSpec(config=QUICK), folder / name
        )
    return {path.name: path for path in folder.iterdir()}


Calibrate = Callable[..., dict[str, Any]]


@pytest.fixture
def own(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Calibrate:
    """Calibrate a copy of a run on labels, and say what was said of it; the copy is `tmp_path / name`."""

    def calibrated(name: str, labels: Sequence[Sample], task: Task = TASK, **spec: object) -> dict[str, Any]:
        if not (tmp_path / name).exists():
            shutil.copytree(runs[name], tmp_path / name)
        monkeypatch.setitem(SETS, "labels", list(labels))
        return calibrate(task, tmp_path / name, DataRequest(data="labels"), CalibrationSpec(**spec))

    return calibrated


def predicted(run: Path, samples: Sequence[Sample], task: Task = TASK) -> list[Prediction]:
    return predict(load_fitted(run, task.target, task.restore), list(samples), task.view_of)


def halves(found: Sequence[Prediction]) -> np.ndarray:
    return np.array([(one.region.high - one.region.low) / 2 for one in found])


def inside(found: Sequence[Prediction], samples: Sequence[Sample]) -> float:
    return float(np.mean([sample.target in one.region for sample, one in zip(samples, found, strict=True)]))


def of_year(year: int) -> list[Sample]:
    """Ordinary samples of a year that nobody labelled."""
    ordinary = [sample for sample in SETS["past"] if sample.source.group == "2005"]
    return [replace(sample, source=replace(sample.source, group=str(year), data="new")) for sample in ordinary]


def claims(run: Path, years: Sequence[int]) -> list[str]:
    """What calibration states of each year, whatever the alarm thinks of its inputs."""
    artifact = replace(load_fitted(run, TASK.target, TASK.restore), alarm={})
    return [predict(artifact, of_year(year), TASK.view_of)[0].claim.state for year in years]


def test_calibrating_again_on_the_same_labels_claims_what_it_did(own, tmp_path):
    told, claimed = [], []
    for _ in range(3):
        own("past", SETS["later"])
        known = load_fitted(tmp_path / "past", TASK.target, TASK.restore).calibration["whole"]
        told.append((known.forward, known.reach, known.half_width(0.9), known.scale_of))
        claimed.append(claims(tmp_path / "past", [2024, 2025, 2028]))
    assert told[0] == told[1] == told[2]
    assert told[0][0] == tuple(str(year) for year in range(2012, 2024))
    assert claimed == [["stated", "none", "none"]] * 3


def test_appending_the_same_labels_again_claims_what_it_did(own, tmp_path):
    told = []
    for _ in range(2):
        own("past", SETS["later"], is_appended=True)
        told.append(claims(tmp_path / "past", [2024, 2025]))
    assert told == [["stated", "none"]] * 2


def test_one_group_far_ahead_takes_claims_one_step_further_and_new_labels_take_them_back(own, tmp_path):
    far = [sample for sample in SETS["later"] if str(sample.source.group) < "2020"] + samples_of([2030], 7)
    own("past", far)
    assert claims(tmp_path / "past", [2031, 2032]) == ["stated", "none"]
    own("past", [sample for sample in SETS["later"] if str(sample.source.group) < "2021"])
    assert claims(tmp_path / "past", [2021, 2022, 2031]) == ["stated", "none", "none"]


def test_labels_between_training_groups_are_not_said_to_be_predicted_ahead(own, tmp_path, runs, monkeypatch):
    monkeypatch.setitem(SETS, "even", samples_of(range(2000, 2024, 2), 8))
    finetune(TASK, read(DataRequest(data="even")), FitSpec(config=QUICK), tmp_path / "even")
    own("even", samples_of(range(2001, 2025, 2), 9))
    assert load_fitted(tmp_path / "even", TASK.target, TASK.restore).calibration["whole"].forward == ("2023",)
    assert claims(tmp_path / "even", [2024]) == ["none"]


def test_labels_that_taught_a_line_were_not_predicted_from_earlier_ones_alone(own, tmp_path):
    """Each was told by a line through all others, later ones too."""
    own("simulated", SETS["real"])
    assert claims(tmp_path / "simulated", [2036]) == ["none"]
    more = samples_of(range(2036, 2064), 5, slope=0.5)
    own("simulated", more, is_appended=True)  # these were told by the line through those before
    assert claims(tmp_path / "simulated", [2064, 2066]) == ["stated", "none"]


def test_what_is_said_of_labels_with_gaps_is_what_predictions_of_them_did(own, runs, tmp_path):
    labels = [*SETS["later"][:144], *without(SETS["later"][144:], "rain")]
    before = predicted(runs["past"], labels)
    entry = own("past", labels)
    assert entry["coverage_before"] == pytest.approx(inside(before, labels))
    assert entry["coverage_before"] > 0.85
    assert entry["width_before"] == pytest.approx(2 * halves(before).mean())
    assert entry["width_after"] == pytest.approx(2 * halves(predicted(tmp_path / "past", labels)).mean())


def test_errors_of_means_left_out_are_those_of_predictions_that_did_not_know_them(own, runs, tmp_path):
    """By the run as it stood before, and, of a run of simulations, by lines through the others."""
    labels = moved(SETS["later"], [3.0, -1.0])
    told = np.array([one.value for one in predicted(runs["past"], labels)])
    fields = np.array([sample.source.facts["field"] for sample in labels])
    truth = np.array([sample.target for sample in labels])
    error = np.array([(told - truth)[fields == field].mean() for field in np.unique(fields)])
    found = own("past", labels)["left_out"]
    assert (found["of"], found["n"]) == ("field", len(error))
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    assert found["bias"] == pytest.approx(error.mean())
    first = own("farms", SETS["harvests"])["left_out"]
    wild = own("farms", moved(SETS["harvests"], [3.0, -3.0]))["left_out"]  # a line through the others is of no use
    assert first["rmse"] < 1 < 3 < wild["rmse"]


def test_widths_are_told_in_the_target_s_unit_where_labels_teach_a_slope(own, tmp_path):
    own("farms", SETS["harvests"])
    before = predicted(tmp_path / "farms", SETS["harvests"])
    entry = own("farms", moved(SETS["harvests"], [3.0, -3.0]))
    assert entry["width_before"] == pytest.approx(2 * halves(before).mean())
    after = halves(predicted(tmp_path / "farms", SETS["harvests"])).mean()
    assert entry["width_after"] == pytest.approx(2 * after)
    assert after > 1.5 * halves(before).mean()


@pytest.mark.parametrize(("by_year", "is_noticed"), [([6.0, -6.0], True), ([0.0, 2.0, -2.0], True), ([0.0], False)])
def test_years_that_moved_are_noticed_in_any_direction(own, by_year, is_noticed):
    entry = own("past", moved(SETS["later"], by_year), is_appended=True)
    assert entry["has_moved"] == is_noticed
    assert (entry["residual_p_value"] <= 0.05) == is_noticed


def test_labels_given_again_are_not_compared_with_themselves(own):
    own("past", SETS["later"])
    entry = own("past", SETS["later"])
    assert (entry["residual_p_value"], entry["has_moved"]) == (None, None)


def test_a_view_that_shows_less_is_never_narrower_after_labels_that_the_fuller_one_errs_on(own, tmp_path):
    """Where yields do not follow rain, whoever knows no rain errs less; nobody is to be surer for knowing less."""
    flat = [replace(sample, target=20 + 0.1 * np.cos(row)) for row, sample in enumerate(SETS["later"])]
    for is_appended in (False, True):
        own("early", flat, EARLY, is_appended=is_appended)
        late, early = (halves(predicted(tmp_path / "early", s, EARLY)) for s in (flat, without(flat, "rain")))
        assert early.mean() >= (1 - 1e-9) * late.mean() > 2


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_gaps_that_new_labels_do_not_show_stay_no_narrower(own, tmp_path, scale):
    own("past", [replace(s, target=20 + scale * (s.target - 20)) for s in SETS["later"]])
    whole, lacking = (halves(predicted(tmp_path / "past", s)) for s in (SETS["later"], without(SETS["later"], "rain")))
    assert lacking.mean() >= (1 - 1e-9) * whole.mean()


def of_means(run: Path) -> Calibration:
    return load_fitted(run, TASK.target, TASK.restore).calibration[mean_view("whole")]


def half_of_means(run: Path, samples: Sequence[Sample]) -> float:
    """Half width at 90 % of the means of samples, in t/ha."""
    scale = load_fitted(run, TASK.target, TASK.restore).outputs(samples, "whole")["scale"]
    return float(of_means(run).half_width(0.9) * scale.mean())


@pytest.mark.parametrize("is_appended", [False, True])
@pytest.mark.parametrize("off", [0.0, 3.0])
def test_labels_that_name_no_fields_leave_field_means_as_unsure_as_single_samples_have_become(
    own, runs, tmp_path, is_appended, off
):
    labels = moved(SETS["later"], [off, -off])
    truth = half_of_means(runs["past"], labels)
    entry = own("past", nameless(labels), is_appended=is_appended)
    kept = half_of_means(tmp_path / "past", labels)
    assert kept >= truth - 1e-9
    told = {str(s.source.facts["field"]): [] for s in labels}
    single = predicted(tmp_path / "past", labels)
    for sample, one in zip(labels, single, strict=True):
        told[str(sample.source.facts["field"])].append(sample.target - one.value)
    covered = np.mean([abs(np.mean(errors)) <= kept for errors in told.values()])
    assert covered >= (0.6 if is_appended else 0.85)  # half of what is pooled on appending are older, quieter years
    assert kept <= halves(single).mean() + 1e-9
    has_grown = kept > truth + 1e-9
    assert has_grown or not off
    claim = of_means(tmp_path / "past").claim(0.9)
    assert entry["means"] == {"state": claim.state, "reason": claim.reason}
    assert claim.state == ("stated" if is_appended and not has_grown else "none")
    if claim.state == "none":
        assert f"the labels name no fields of {1 if is_appended else 2} groups" in claim.reason


def test_field_means_of_a_line_that_labels_without_fields_taught_claim_nothing(own, tmp_path):
    labels = moved(SETS["harvests"], [2.0, -2.0])
    entry = own("farms", [*one_field_each(labels[:A_YEAR]), *nameless(labels[A_YEAR:])])
    assert entry["means"]["state"] == "none"
    kept, single = half_of_means(tmp_path / "farms", SETS["harvests"]), predicted(tmp_path / "farms", SETS["harvests"])
    assert 2.0 < kept <= halves(single).mean() + 1e-9
    again = own("farms", SETS["harvests"])  # with their fields
    assert again["means"]["state"] == "stated"
    assert half_of_means(tmp_path / "farms", SETS["harvests"]) < kept


def test_labels_of_no_field_are_not_counted_as_one(own):
    labels = [*one_field_each(SETS["harvests"][:19]), *nameless(SETS["harvests"][19:])]
    with pytest.raises(CalibrationError, match="got 19 harvested fields, want at least 20"):
        own("farms", labels)


@pytest.mark.parametrize("num_whole", [0, 1, 2])
def test_a_fit_of_which_few_groups_have_all_inputs_is_written(tmp_path, monkeypatch, num_whole):
    few = [str(year) for year in range(2000, 2000 + num_whole)]
    whole = [sample for sample in SETS["past"] if sample.source.group in few]
    gaps = [sample for sample in SETS["past"] if sample.source.group not in few]
    mixed = [*whole, *(one for row, sample in enumerate(gaps) for one in without([sample], ("rain", "heat")[row % 2]))]
    monkeypatch.setitem(SETS, "few", mixed)
    task = replace(TASK, optional=())  # no gaps are drawn besides
    record = finetune(task, read(DataRequest(data="few")), FitSpec(config=QUICK), tmp_path / "run")
    assert "held_out_coverage_at_90" not in record["held_out"]
    assert len(predicted(tmp_path / "run", SETS["later"])) == len(SETS["later"])
