"""What may be claimed, by one function for predictions and evaluations; calibration on labels of one's own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mainstem.apps.calibrate import CalibrationSpec, calibrate
from mainstem.apps.evaluate import evaluate
from mainstem.apps.finetune import finetune
from mainstem.apps.protocols import EvaluationSpec
from mainstem.core.errors import CalibrationError, InputError, MainstemError
from mainstem.core.finetuning import FitSpec
from mainstem.core.fitted import Fitted, load_fitted, load_run
from mainstem.core.predict import predict
from mainstem.core.preparation import MeanOffset, restore_plain
from mainstem.core.records import expect_adapter
from mainstem.core.samples import SampleSet
from mainstem.core.stream import Channel, Provenance, Sample, Stream
from mainstem.core.targets import Quantity
from mainstem.core.task import DataRequest, FitConfig, Grouping, Task
from mainstem.core.training import TrainingConfig

pytestmark = pytest.mark.long

QUICK = FitConfig(trunk_size="xs", training=TrainingConfig(epochs=8, batch_size=64, lr_per_step=3e-3), num_folds=3)
A_YEAR = 24


def samples_of(years: Sequence[int], seed: int, error_of_year: float = 0.0, **source: object) -> tuple[Sample, ...]:
    """Rain and heat of places; the target follows rain, and errs by the year."""
    rng = np.random.default_rng(seed)
    found = []
    for year in years:
        off = rng.normal(0, error_of_year)
        for place in range(A_YEAR):
            rain, heat = rng.normal(0, 1, 2)
            streams = {
                name: Stream(kind="scalar", values=np.array([value]), channels=(Channel(name=name, unit="1"),))
                for name, value in (("rain", rain), ("heat", heat))
            }
            origin = Provenance(
                data=str(source.get("data", "made")), item=f"{place} {year}", group=str(year), licence="CC0-1.0",
                simulated=bool(source.get("simulated", False)), facts={"crop": str(source.get("crop", "maize"))},
            )  # fmt: skip
            target = float(source.get("slope", 1.0)) * (2 * rain + 10) + off + rng.normal(0, 0.5)
            found.append(Sample(streams=streams, target=target, source=origin))
    return tuple(found)


SETS = {
    "past": samples_of(range(2000, 2012), 0, 0.3),
    "later": samples_of(range(2012, 2024), 1, 0.3),
    "drifting": tuple(replace(s, target=s.target + 3) for s in samples_of(range(2012, 2018), 2, 0.3)),
    "simulated": samples_of(range(2000, 2012), 3, 0.3, simulated=True),
    "harvests": samples_of(range(2012, 2036), 4, 0.1, slope=0.5, data="harvests"),
}


def read(request: DataRequest) -> SampleSet:
    samples = tuple(sample for name in request.data.split("+") for sample in SETS[name])
    tested = frozenset(str(sample.source.group) for sample in samples if str(sample.source.group) > "2011")
    return SampleSet(
        name="made", samples=samples, flagged={}, attribution="made", licence="CC0-1.0",
        simulated=all(sample.source.simulated for sample in samples),
        test_groups=tested if "+" in request.data else frozenset(),
    )  # fmt: skip


TASK = Task(
    name="made", task="table", version="1", target=Quantity(units="t/ha", metric="rmse"), config=QUICK, read=read,
    prepare=lambda samples, order: MeanOffset.fit(samples), restore=restore_plain,
    scope_of=lambda samples: {"crop": sorted({str(sample.source.facts["crop"]) for sample in samples})},
    baselines=lambda train, test, seed: {"average": np.full(len(test), 10.0)},
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "past"
    finetune(TASK, read(DataRequest(data="past")), FitSpec(config=QUICK), out)
    return out


@pytest.fixture
def own(run: Path, tmp_path: Path) -> Path:
    import shutil

    shutil.copytree(run, tmp_path / "run")
    return tmp_path / "run"


def load(folder: Path) -> Fitted:
    return load_fitted(folder, TASK.target, TASK.restore)


def claims(folder: Path, samples: Sequence[Sample]) -> set[str]:
    return {found.claim.state for found in predict(load(folder), list(samples), TASK.view_of)}


def named(samples: Sequence[Sample], **facts: object) -> list[Sample]:
    return [replace(sample, source=replace(sample.source, **facts)) for sample in samples]


def test_later_years_are_claimed_and_hold(run):
    found = predict(load(run), list(SETS["later"]), TASK.view_of)
    told = {one.source.group for one in found if one.claim.state == "stated"}
    assert told
    assert told <= {"2012", "2013", "2014"}  # three years ahead were judged
    first = next(one for one in found if one.claim.state == "stated")
    assert "2000 to 2011, 6 of them predicted from earlier ones alone, claims to 2014" in first.claim.population
    inside = [sample.target in one.region for sample, one in zip(SETS["later"], found, strict=True)]
    assert 0.88 <= np.mean(inside) <= 1.0


def test_what_was_trained_on_is_not_claimed_and_a_name_alone_earns_nothing(run):
    assert claims(run, SETS["past"]) == {"none"}
    shifted = [
        replace(sample, streams={n: replace(s, values=s.values + 6) for n, s in sample.streams.items()})
        for sample in named(SETS["later"][:A_YEAR], group="2005", data="elsewhere")
    ]
    assert claims(run, shifted) == {"withdrawn"}  # named like a group of calibration, and unlike all of them


@pytest.mark.parametrize(
    "group", ["2030/31", "2030-06", "FY2030", "+2013", "\uff12\uff10\uff11\uff13", "1985", "99999999999"]
)
def test_a_group_that_has_no_place_among_years_is_not_claimed(run, group):
    assert claims(run, named(SETS["later"][:A_YEAR], group=group)) == {"none"}


@pytest.mark.parametrize("group", ["2011.0", "02011"])
def test_a_year_trained_on_is_known_however_it_is_written(run, group):
    year = [sample for sample in SETS["past"] if sample.source.group == "2011"]
    told = predict(load(run), named(year, group=group), TASK.view_of)
    assert {one.claim.state for one in told} == {"none"}
    assert "trained" in told[0].claim.reason


@pytest.mark.parametrize("group", ["a", "2030/31", "9" * 310])
def test_names_beside_years_are_refused_before_anything_is_written(own, monkeypatch, group):
    labelled = [*SETS["later"][:A_YEAR], *named(SETS["later"][A_YEAR : 2 * A_YEAR], group=group)]
    monkeypatch.setitem(SETS, "mixed", tuple(labelled))
    before = (own / "adapter.safetensors").read_bytes()
    for is_appended in (True, False):
        with pytest.raises(CalibrationError, match="mix numbers"):
            calibrate(TASK, own, DataRequest(data="mixed"), CalibrationSpec(is_appended=is_appended))
    assert (own / "adapter.safetensors").read_bytes() == before


def test_a_window_that_takes_none_of_the_labels_is_refused(own, monkeypatch):
    old = named(SETS["later"][:A_YEAR], group="1990")
    monkeypatch.setitem(SETS, "old", tuple(old))
    with pytest.raises(CalibrationError, match="none of these labels"):
        calibrate(TASK, own, DataRequest(data="old"), CalibrationSpec(is_appended=True, window=3))


def test_a_run_outlives_two_calibrations_killed_halfway(own, monkeypatch):
    record = (own / "record.json").read_bytes()
    calibrate(TASK, own, DataRequest(data="later"), CalibrationSpec(is_appended=True))
    new = json.loads((own / "record.json").read_text())["adapter_sha256"]
    killed = {**json.loads(record), "next_adapter_sha256": new}  # before the record was written
    (own / "record.json").write_text(json.dumps(killed))
    load(own)
    expect_adapter(own, "0" * 64, new)  # and again, before the adapter was
    assert load(own).adapter_sha256 == new


def test_labels_that_taught_a_run_are_not_judged_by_what_they_taught(tmp_path, monkeypatch):
    finetune(TASK, read(DataRequest(data="simulated")), FitSpec(config=QUICK), tmp_path / "run")
    first = tuple(sample for sample in SETS["harvests"] if str(sample.source.group) < "2033")
    monkeypatch.setitem(SETS, "first", first)
    calibrate(TASK, tmp_path / "run", DataRequest(data="first"))

    def scores() -> dict[str, list[float]]:
        known = load(tmp_path / "run").calibration["whole"]
        return {group: known.scores[np.array(known.groups) == group].tolist() for group in sorted(set(known.groups))}

    before = scores()
    calibrate(TASK, tmp_path / "run", DataRequest(data="harvests"), CalibrationSpec(is_appended=True))
    after = scores()
    assert set(after) - set(before) == {"2033", "2034", "2035"}
    assert {group: after[group] for group in before} == before
    with pytest.raises(CalibrationError, match="before"):
        calibrate(TASK, tmp_path / "run", DataRequest(data="first"), CalibrationSpec(is_appended=True))


SEASONAL = replace(TASK, grouping=Grouping(season_of="season"))


def test_fields_of_one_season_say_nothing_of_another(tmp_path, monkeypatch):
    def fields(season: int, names: range) -> tuple[Sample, ...]:
        cases = [sample for sample in SETS["past"] if int(str(sample.source.group)) in names]
        facts = {**SETS["past"][0].source.facts, "season": season}
        return tuple(named([s], group=f"field {s.source.group}", facts=facts)[0] for s in cases)

    monkeypatch.setitem(SETS, "fields", fields(2021, range(2000, 2010)))
    finetune(SEASONAL, read(DataRequest(data="fields")), FitSpec(config=QUICK), tmp_path / "run")
    assert claims(tmp_path / "run", fields(2021, range(2010, 2011))) == {"stated"}
    told = predict(load(tmp_path / "run"), list(fields(2022, range(2010, 2011))), TASK.view_of)
    assert {one.claim.state for one in told} == {"none"}
    assert "season 2022: judged in 2021 alone, want 9 seasons" in told[0].claim.reason


def test_cases_of_no_known_season_speak_for_none_and_a_run_of_them_opens(tmp_path, monkeypatch):
    nameless = tuple(
        named([s], group=f"field {s.source.group}")[0] for s in SETS["past"] if str(s.source.group) < "2010"
    )
    monkeypatch.setitem(SETS, "nameless fields", nameless)
    finetune(SEASONAL, read(DataRequest(data="nameless fields")), FitSpec(config=QUICK), tmp_path / "run")
    new = named([s for s in SETS["past"] if s.source.group == "2011"], group="field 2011")
    told = predict(load(tmp_path / "run"), new, TASK.view_of)
    assert {one.claim.state for one in told} == {"none"}
    assert "season unknown: judged in no known season alone" in told[0].claim.reason


def test_one_strange_sample_of_a_quiet_year_loses_its_claim_alone(run):
    artifact = load(run)
    told = predict(artifact, list(SETS["later"]), TASK.view_of)
    quiet = next(one.source.group for one in told if one.claim.state == "stated")
    year = [sample for sample in SETS["later"] if sample.source.group == quiet]
    before = [one.claim for one in told if one.source.group == quiet]
    row = next(row for row, claim in enumerate(before) if claim.state == "stated")
    far = {name: replace(stream, values=stream.values * 0 + 4) for name, stream in year[row].streams.items()}
    year[row] = replace(year[row], streams=far)
    after = [one.claim for one in predict(artifact, year, TASK.view_of)]
    assert after[row].state == "withdrawn"
    assert year[row].source.item in after[row].reason
    assert [*after[:row], *after[row + 1 :]] == [*before[:row], *before[row + 1 :]]


POOR_TASKS = {"free": TASK, "bounded": replace(TASK, target=replace(TASK.target, lowest=0.0, highest=100.0))}


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Runs of harvests near nothing, by the task's lowest value."""
    folder = tmp_path_factory.mktemp("poor")
    harvests = {
        name: tuple(replace(sample, target=max(sample.target - 10, 0.0)) for sample in SETS[name])
        for name in ("past", "later")
    }
    SETS.update({f"poor {name}": samples for name, samples in harvests.items()})
    for name, task in POOR_TASKS.items():
        finetune(task, read(DataRequest(data="poor past")), FitSpec(config=QUICK), folder / name)
    return {name: folder / name for name in POOR_TASKS}


def test_what_cannot_be_is_never_told_and_the_coverage_of_what_can_stays(poor):
    samples = list(SETS["poor later"])
    free, bounded = (
        predict(load_run(poor[name], task), samples, TASK.view_of, 0.9, (0.0, -1.0, 2.0))
        for name, task in POOR_TASKS.items()
    )
    assert min(one.region.low for one in free) < min(one.value for one in free) < 0
    assert min(one.region.low for one in bounded) == min(one.value for one in bounded) == 0
    assert {one.probabilities[name] for one in bounded for name in ("below 0", "below -1")} == {0.0}
    for before, after, sample in zip(free, bounded, samples, strict=True):
        assert (sample.target in before.region) == (sample.target in after.region)
        assert after.region.low <= after.value <= after.region.high
        assert before.probabilities["below 2"] == after.probabilities["below 2"]


def test_labels_that_cannot_be_are_refused_by_name(poor, tmp_path, monkeypatch):
    bounded = POOR_TASKS["bounded"]
    samples = [replace(SETS["poor past"][5], target=-0.8), *SETS["poor past"][6:]]
    monkeypatch.setitem(SETS, "wrong", tuple(samples))
    monkeypatch.setitem(SETS, "later wrong", (replace(SETS["poor later"][0], target=1e3), *SETS["poor later"][1:]))
    said = r"sample '5 2000' has a target of -0.8 t/ha, want at least 0, at most 100; mend it"
    with pytest.raises(InputError, match=said):
        finetune(bounded, read(DataRequest(data="wrong")), FitSpec(config=QUICK), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="has a target of 1000 t/ha"):
        calibrate(bounded, poor["bounded"], DataRequest(data="later wrong"))
    with pytest.raises(InputError, match="has a target of 1000 t/ha"):
        evaluate(
            bounded, DataRequest(data="later wrong"), EvaluationSpec(fit=FitSpec(config=QUICK)), run=poor["bounded"]
        )


def test_evaluation_scores_the_possible_part_of_an_interval(poor):
    spec = EvaluationSpec(fit=FitSpec(config=QUICK))
    request = DataRequest(data="poor later")
    free, bounded = (evaluate(task, request, spec, run=poor[name])["coverage"] for name, task in POOR_TASKS.items())
    assert bounded["pooled"] == free["pooled"]
    assert bounded["mean_width"] < free["mean_width"]
    assert bounded["interval_score"] < free["interval_score"]


def test_gaps_that_calibration_saw_are_wider_and_others_unclaimed(run):
    artifact = load(run)
    calibration = artifact.calibration["whole"]
    assert {"", "rain", "heat"} == set(calibration.scale_of)
    lacking = [replace(s, streams={"heat": s.streams["heat"]}) for s in SETS["later"]]
    found, whole = (predict(artifact, list(each), TASK.view_of) for each in (lacking, SETS["later"]))
    widths = [[one.region.high - one.region.low for one in each] for each in (found, whole)]
    assert np.mean(widths[0]) > 2 * np.mean(widths[1])
    inside = np.mean([sample.target in one.region for sample, one in zip(lacking, found, strict=True)])
    assert 0.88 <= inside <= 1.0
    nothing = [replace(s, streams={"other": s.streams["heat"]}) for s in SETS["later"][:4]]
    assert claims(run, nothing) == {"none"}


def test_scope_and_simulations_are_refused_by_the_same_function_everywhere(run):
    wheat = named(SETS["later"][:3], facts={"crop": "wheat"})
    found = predict(load(run), wheat, TASK.view_of)
    assert all(one.abstained and one.value is None for one in found)
    assert "crop is wheat" in found[0].reasons[0]


def test_evaluate_counts_no_claim_for_what_lies_outside_the_scope(run, monkeypatch):
    monkeypatch.setitem(SETS, "wheat", tuple(named(SETS["later"], facts={"crop": "wheat"})))
    found = evaluate(TASK, DataRequest(data="wheat"), EvaluationSpec(fit=FitSpec(config=QUICK)), run=run)
    assert {group["claim"] for group in found["coverage"]["by_group"].values()} == {"none"}
    assert found["coverage"]["stated"]["coverage"] is None


def test_appended_labels_widen_what_drift_made_too_narrow_and_a_window_forgets(own):
    before = load(own).calibration["whole"]
    entry = calibrate(TASK, own, DataRequest(data="drifting"), CalibrationSpec(is_appended=True))
    after = load(own).calibration["whole"]
    assert entry["coverage_before"] < 0.6
    assert entry["residual_p_value"] <= 0.1  # the level moved, and that is noticed
    assert len(set(after.groups)) == 18
    assert after.half_width(0.9) > before.half_width(0.9)
    assert entry["claim"] == "stated"
    assert claims(own, SETS["drifting"]) == {"none"}  # calibrated on now
    calibrate(TASK, own, DataRequest(data="drifting"), CalibrationSpec(is_appended=True, window=6))
    assert set(load(own).calibration["whole"].groups) == {str(year) for year in range(2012, 2018)}
    assert json.loads((own / "record.json").read_text())["calibrations"][-1]["claim"] == "none"  # 6 groups are too few
    assert "past" not in load(own).calibration["whole"].population  # nothing of training is left in it
    with pytest.raises(InputError, match="or calibrated; give data with groups it never saw"):
        evaluate(TASK, DataRequest(data="drifting"), EvaluationSpec(fit=FitSpec(config=QUICK)), run=own)


def test_simulated_labels_earn_a_run_of_real_data_nothing(own, monkeypatch):
    monkeypatch.setitem(SETS, "games", samples_of(range(2040, 2060), 9, 0.3, simulated=True))
    before = (own / "adapter.safetensors").read_bytes()
    with pytest.raises(CalibrationError, match="is simulated, the run speaks of real data"):
        calibrate(TASK, own, DataRequest(data="games"))
    assert (own / "adapter.safetensors").read_bytes() == before


def test_labels_that_name_no_group_and_windows_without_order_are_refused(own, monkeypatch):
    monkeypatch.setitem(SETS, "nameless", tuple(named(SETS["later"], group=None)))
    with pytest.raises(CalibrationError, match="name no group"):
        calibrate(TASK, own, DataRequest(data="nameless"), CalibrationSpec(is_appended=True))
    sites = tuple(replace(s, source=replace(s.source, group=f"site {s.source.group}")) for s in SETS["later"])
    monkeypatch.setitem(SETS, "sites", sites)
    with pytest.raises(CalibrationError, match="mix numbers"):
        calibrate(TASK, own, DataRequest(data="sites"), CalibrationSpec(is_appended=True, window=3))


def test_two_calibrations_at_once_are_both_kept(own):
    import threading

    def append(name: str) -> None:
        calibrate(TASK, own, DataRequest(data=name), CalibrationSpec(is_appended=True))

    calls = [threading.Thread(target=append, args=(name,)) for name in ("later", "harvests")]
    for call in calls:
        call.start()
    for call in calls:
        call.join()
    assert len(json.loads((own / "record.json").read_text())["calibrations"]) == 2
    assert set(load(own).manifest.training["calibrated"]) == {"made", "harvests"}


def test_groups_trained_on_are_known_by_the_data_that_samples_name(tmp_path):
    source = read(DataRequest(data="past"))
    farms = tuple(named(source.samples[:144], data="farm 1")) + tuple(named(source.samples[144:], data="farm 2"))
    finetune(TASK, replace(source, samples=farms), FitSpec(config=QUICK), tmp_path / "run")
    assert claims(tmp_path / "run", farms) == {"none"}


def test_a_run_is_scored_as_it_is(run):
    spec = EvaluationSpec(fit=FitSpec(config=QUICK))
    for asked in (
        replace(spec, seeds=3),
        replace(spec, protocol="leave-one-group-out"),
        replace(spec, protocol="bogus"),
    ):
        with pytest.raises(InputError, match="a run is scored as it is"):
            evaluate(TASK, DataRequest(data="later"), asked, run=run)
    with pytest.raises(InputError, match="a window is of"):
        evaluate(TASK, DataRequest(data="later"), replace(spec, window=3), run=run)


def test_claims_of_several_seeds_are_the_weakest(run):
    from mainstem.apps.figures import with_weakest_claims
    from mainstem.apps.scoring import score

    first = score(TASK, load(run), SETS["later"], 0.9)
    weaker = replace(first, claims=("none", *first.claims[1:]))
    assert [found.claims[0] for found in with_weakest_claims([first, weaker])] == ["none", "none"]
    assert with_weakest_claims([first, weaker])[0].claims[1:] == first.claims[1:]


def test_season_by_season_follows_a_drift_that_standing_intervals_miss():
    spec = EvaluationSpec(fit=FitSpec(config=QUICK))
    standing = evaluate(TASK, DataRequest(data="past+drifting"), spec)
    following = evaluate(TASK, DataRequest(data="past+drifting"), replace(spec, protocol="season-by-season", window=9))
    assert following["n"] == standing["n"]
    assert following["metrics"] == pytest.approx(standing["metrics"], rel=1e-6)
    assert following["coverage"]["pooled"] > standing["coverage"]["pooled"] + 0.2
    assert following["coverage"]["by_group"]["2012"] == standing["coverage"]["by_group"]["2012"]


def test_calibrating_twice_on_harvests_gives_what_once_gave(tmp_path):
    out = tmp_path / "run"
    finetune(TASK, read(DataRequest(data="simulated")), FitSpec(config=QUICK), out)
    request = DataRequest(data="harvests")
    with pytest.raises(CalibrationError, match="leave --append out"):
        calibrate(TASK, out, request, CalibrationSpec(is_appended=True))
    errors = []
    for _ in range(3):
        entry = calibrate(TASK, out, request)
        assert (entry["coverage_before"] < 0.3) == (not errors)  # told by the model as it was before
        artifact = load(out)
        told = artifact.outputs(SETS["harvests"], "whole")
        mean, scale = told["mean"], told["scale"]
        truth = np.array([sample.target for sample in SETS["harvests"]])
        half = artifact.calibration["whole"].half_width(0.9) * scale
        errors.append((float(np.sqrt(np.mean((truth - mean) ** 2))), float((np.abs(truth - mean) <= half).mean())))
    assert errors[0] == errors[1] == errors[2]
    assert errors[0][0] < 0.8
    assert errors[0][1] >= 0.88


COPY = {"data": "copy.csv", "item": "of another name"}


def copied(name: str) -> tuple[Sample, ...]:
    """The same samples under another name of their data, years written another way."""
    return tuple(named([one], **COPY, group=f"{one.source.group}.0")[0] for one in SETS[name])


def test_a_copy_of_what_was_trained_on_is_known_again(own, monkeypatch):
    assert claims(own, copied("past")) == {"none"}
    monkeypatch.setitem(SETS, "copy", copied("past"))
    for use in (evaluate_run, calibrate_run):
        with pytest.raises(MainstemError, match=r"trained on|never trained on"):
            use(own, "copy")


def evaluate_run(run: Path, name: str) -> None:
    evaluate(TASK, DataRequest(data=name), EvaluationSpec(fit=FitSpec(config=QUICK)), run=run)


def calibrate_run(run: Path, name: str) -> None:
    calibrate(TASK, run, DataRequest(data=name), CalibrationSpec())


def test_a_copy_of_what_was_calibrated_on_is_known_again(own):
    calibrate(TASK, own, DataRequest(data="later"), CalibrationSpec(is_appended=True))
    assert claims(own, copied("later")) == {"none"}


def test_a_field_of_another_farm_may_bear_a_name_that_was_trained_on(tmp_path, monkeypatch):
    """Names mean nothing beyond their own data: what predict claims, evaluate scores and calibrate takes."""
    farms = {}
    for farm, name, less in (("farm a", "past", 0), ("farm b", "later", 12)):  # the same names, of other fields
        numbers = [int(str(one.source.group)) - less for one in SETS[name]]
        pairs = zip(SETS[name], numbers, strict=True)
        farms[farm] = tuple(named([one], data=farm, group=f"field {number}")[0] for one, number in pairs)
    for farm, samples in farms.items():
        monkeypatch.setitem(SETS, farm, samples)
    run = tmp_path / "run"
    finetune(TASK, read(DataRequest(data="farm a")), FitSpec(config=QUICK), run)
    known = {str(one.source.group) for one in farms["farm a"]}
    shared = [one for one in farms["farm b"] if str(one.source.group) in known]
    assert shared
    artifact = load(run)
    assert not any(artifact.taught.has_seen(one) for one in shared)
    evaluate_run(run, "farm b")
    assert calibrate(TASK, run, DataRequest(data="farm b"), CalibrationSpec())["cases"] == len(farms["farm b"])


def test_a_channel_that_training_never_lacked_takes_the_claim_with_it(tmp_path, monkeypatch):
    def joined(name: str) -> tuple[Sample, ...]:
        """Rain and heat as channels of one stream, as the columns of a table are."""
        return tuple(
            replace(
                one,
                streams={
                    "rows": Stream(
                        kind="scalar",
                        values=np.concatenate([one.streams[part].values for part in ("rain", "heat")]),
                        channels=one.streams["rain"].channels + one.streams["heat"].channels,
                    )
                },
            )
            for one in SETS[name]
        )

    monkeypatch.setitem(SETS, "joined", joined("past"))
    finetune(TASK, read(DataRequest(data="joined")), FitSpec(config=QUICK), tmp_path / "run")
    whole = [one for one in joined("later") if one.source.group == "2012"]
    assert "stated" in claims(tmp_path / "run", whole)
    lacking = [
        replace(one, streams={"rows": Stream(kind="scalar", values=rows.values[:1], channels=rows.channels[:1])})
        for one in whole
        for rows in one.streams.values()
    ]
    told = predict(load(tmp_path / "run"), lacking, TASK.view_of)
    assert {one.claim.state for one in told} == {"none"}
    assert all("rows: heat" in one.claim.reason for one in told)
