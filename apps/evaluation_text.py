"""An evaluation as lines to read: figures, what can be told apart from each baseline, and how far intervals held."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mainstem.core.targets import Target


def describe(result: Mapping[str, Any], target: "Target") -> str:
    """An evaluation as lines to read; its target says what it alone put into it."""
    first = next(iter(result["metrics"]))
    lines = _metrics_lines(result)
    lines += [difference_line(name, found, first) for name, found in result["difference"].items()]
    lines += comparisons_line(result["comparisons"])
    if "best_baseline" in result:
        lines.append(f"the best baseline: {result['best_baseline']}")
    if result["parts"]:
        parts = (f"{name.replace('_', ' ')} {figure(found[first])}" for name, found in result["parts"].items())
        lines.append(f"{first} of its parts: {'; '.join(parts)}")
    if "means" in result:
        lines.append(_means_line(result["means"]))
    lines += [*_coverage_lines(result["coverage"]), *target.lines(result)]
    lines += [f"known failure: {failure}" for failure in result["known_failures"]]
    return "\n".join([*lines, *filter(None, [result["protocol_note"]]), result["attribution"]])


def describe_tracks(result: Mapping[str, Any]) -> str:
    """An evaluation of recordings as lines to read: beside what any says, the figures of each group."""
    first, coverage = next(iter(result["metrics"])), result["coverage"]
    lines = [
        *_metrics_lines(result),
        *(difference_line(name, found, first) for name, found in result["difference"].items()),
        f"coverage at {coverage['level']:.0%}: {figure(coverage['pooled'], '.1%')}",
    ]
    for group, metrics in result["by_group"].items():
        found = coverage["by_group"].get(group, {})
        inside = f"  coverage {figure(found['coverage'], '.1%')}, {found['claim']}" if found else ""
        lines.append(f"  {group:31} {_figures(metrics)}{inside}")
    return "\n".join([*lines, *filter(None, [result.get("protocol_note"), result["attribution"]])])


def _metrics_lines(result: Mapping[str, Any]) -> list[str]:
    """The figures of the model, and those of each baseline."""
    told = {result["adapter"]: result["metrics"], **result["baselines"]}
    return [f"{name:33} {_figures(metrics)}" for name, metrics in told.items()]


def _figures(metrics: Mapping[str, Any]) -> str:
    """Metrics that are numbers, or unknown, in a line."""
    numbers = {name: value for name, value in metrics.items() if value is None or isinstance(value, int | float)}
    return "  ".join(f"{name} {figure(value)}" for name, value in numbers.items())


def _means_line(means: Mapping[str, Any]) -> str:
    inside, pixels = means["coverage"]["pooled"], means[f"pixels_per_{means['of']}"]
    return (
        f"means of {means['of']}s, {pixels:.0f} pixels each: r2 within groups {figure(means['r2_within_group'])}, "
        f"of all {figure(means['r2'])}, "
        f"coverage {inside:.1%} of {means['n']}"
    )


def _coverage_lines(coverage: Mapping[str, Any]) -> list[str]:
    withdrawn = [group for group, found in coverage["by_group"].items() if found["claim"] == "withdrawn"]
    lines = [
        f"coverage at {coverage['level']:.0%}: {coverage['pooled']:.1%}; claim withdrawn: {withdrawn or 'nowhere'}"
    ]
    stands = coverage["stated"]
    if stands["coverage"] is not None:
        lines.append(
            f"where the claim stands ({stands['share']:.0%} of cases): {stands['coverage']:.1%}, in no group less than "
            f"{stands['lowest_group']:.1%}"
        )
    for pattern, found in coverage.get("by_pattern", {}).items():
        claimed = "no claim" if found["coverage"] is None else f"{found['coverage']:.1%} of those claimed"
        lines.append(f"  lacking {pattern if pattern != 'whole' else 'nothing'}: {claimed}, {found['n']} cases")
    return lines


def figure(value: float | None, form: str = ".3f") -> str:
    """A figure in words: a dash where it is unknown, as an error relative to a mean of nought is."""
    return "-" if value is None else format(value, form)


def difference_line(baseline: str, found: Mapping[str, Any], metric: str) -> str:
    """Say whether the model is better or worse than a baseline, or not distinguishable, and over how many groups."""
    ends = "" if found["low"] is None else f" ({found['low']:+.3g}, {found['high']:+.3g})"
    over = f" over {found['num_groups']} groups" if "num_groups" in found else ""
    verdict = found.get("verdict", "apart")
    relation = "from" if verdict in ("apart", "not distinguishable") else "than"
    return f"{verdict} {relation} {baseline}: {metric} {figure(found['value'], '+.3g')}{ends}{over}"


def comparisons_line(found: Mapping[str, Any]) -> list[str]:
    """Say how many comparisons were made, and what is told apart once that is reckoned with; nothing of one or none."""
    if found["count"] < 2:
        return []
    told = "; ".join(
        f"{verdict} than {', '.join(names) or 'none'}"
        for verdict, names in (("better", found["better_than"]), ("worse", found["worse_than"]))
    )
    return [
        f"{found['count']} comparisons: each interval holds at {found['level']:.0%} by itself, not adjusted for their "
        f"number; all at once (adjusted by {found['adjustment']}): {told}"
    ]
