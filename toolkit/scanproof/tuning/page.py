"""A search as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scanproof.reporting.embedding import content_policy, page_environment, resource, script_text
from scanproof.reporting.notes import KSPACE, WARNINGS
from scanproof.reporting.vocabulary import counted, joined, metric, plain
from scanproof.tuning.figures import history, option_plot, quality_label, trade_off, words
from scanproof.tuning.importance import ENOUGH
from scanproof.tuning.search import Search
from scanproof.tuning.trials import FINISHED, Ranking, Record, State

_PACKAGE = "scanproof.tuning"


@dataclass(frozen=True)
class Setting:
    """A searched option in the page's first table."""

    name: str
    start: str
    best: str
    share: float | None

    @property
    def changed(self) -> bool:
        """The best trial has another value than the start."""
        return self.start != self.best


@dataclass(frozen=True)
class Row:
    """A trial in the page's last table."""

    record: Record
    quality: str
    seconds: str
    steps: str
    differs: str


def render(
    search: Search,
    records: Sequence[Record],
    ranking: Ranking,
    *,
    importances: Mapping[str, float],
    preset: str,
    command: str,
    kspace: Literal["synthetic", "measured"] = "synthetic",
) -> str:
    """The page; the same trials give the same text.

    Args:
        search: what was searched.
        records: all trials.
        ranking: of those that gave a result.
        importances: share of each option; may be empty.
        preset: text of the preset file.
        command: that made the page.
        kspace: of the slices: computed from magnitude images, or measured by a scanner.
    """
    from plotly.offline import get_plotlyjs

    environment = page_environment(_PACKAGE, filters={"plain": plain, "words": words})
    finished = [record for record in records if record.state in FINISHED]
    plots = {"history": history(search, finished, ranking), "trade-off": trade_off(search, finished, ranking)}
    order = [*importances, *(name for name in search.settings.space if name not in importances)]
    plots |= {f"option-{name}": option_plot(search, finished, ranking, name) for name in order}
    scripts = [script_text(get_plotlyjs()), script_text(resource("tuning.js", _PACKAGE))]
    return environment.get_template("tuning.html.j2").render(
        search=search,
        ranking=ranking,
        quality=quality_label(search.objectives.quality),
        finding=finding(search, ranking),
        points=_points(search, finished, ranking),
        settings=_settings(search, ranking, importances),
        order=order,
        importances=importances,
        enough=ENOUGH,
        rows=_rows(search, records, ranking),
        limits=_limits(search, ranking, KSPACE[kspace]),
        preset=preset,
        command=command,
        warning=WARNINGS[kspace],
        payload=plots,
        style=resource("report.css") + resource("tuning.css", _PACKAGE),
        scripts=scripts,
        policy=content_policy(scripts),
    )


def finding(search: Search, ranking: Ranking) -> str:
    """What the search found, in one sentence.

    Args:
        search: what was searched.
        ranking: of its trials.
    """
    best, start = ranking.best, ranking.start
    reached = f"Trial {best.number} reached {_mean(best, search)}"
    if start is None:
        return f"{reached}; the settings that the search started from gave no result."
    if start.number == best.number:
        better = "as good as those that the search started from and quicker" if search.objectives.seconds else ""
        return f"No settings were {better or 'better than those that the search started from'}: {_mean(start, search)}."
    time = ""
    if best.seconds and start.seconds:
        time = f", in {best.seconds:.3g} s a slice instead of {start.seconds:.3g} s"
    return f"{reached}, against {_value(start, search)} with the settings that the search started from{time}."


def _mean(record: Record, search: Search) -> str:
    """A trial's quality in a sentence."""
    name = search.objectives.quality
    if name == "held_out":
        return f"a mean held-out error of {_value(record, search)}"
    return f"a mean {metric(name).label} of {_value(record, search)} {metric(name).unit}".rstrip()


def _points(search: Search, finished: Sequence[Record], ranking: Ranking) -> list[str]:
    counts = {state: sum(record.state is state for record in finished) for state in FINISHED}
    ends = [f"{count} {state}" for state, count in counts.items() if count]
    place = search.slices
    where = "; ".join(f"{site}: {', '.join(names)}" for site, names in place.subjects.items())
    subjects = sum(map(len, place.subjects.values()))
    found = [
        f"{counted(len(finished), 'trial')}: {joined(ends)}.",
        f"Every trial reconstructed {counted(len(place.chosen), 'slice')} of {counted(subjects, 'validation subject')} "
        f"({where}) at R = {place.acceleration:g}. No test subject was touched.",
    ]
    if search.seconds is not None:
        found.append(f"A slice had to be fitted within {search.seconds:g} processor seconds.")
    if search.objectives.seconds:
        found.append(
            f"Two objectives: {counted(len(ranking.front), 'trial')} cannot be beaten in one without losing in the "
            "other. Recommended is the quickest of those whose quality is at least that of the start. Optuna does not "
            "end trials early where there are two objectives."
        )
    elif search.prunes:
        found.append(
            "A trial was ended early when its mean after a slice was worse than the median of the complete trials "
            "after the same slice."
        )
    return found


def _settings(search: Search, ranking: Ranking, importances: Mapping[str, float]) -> list[Setting]:
    found = [
        Setting(name, words(search.settings.start[name]), words(ranking.best.options[name]), importances.get(name))
        for name in search.settings.space
    ]
    return sorted(found, key=lambda setting: -(setting.share or 0.0))


def _rows(search: Search, records: Sequence[Record], ranking: Ranking) -> list[Row]:
    """Trials that gave a result, the best first, then the others by number."""
    place = {record.number: search.objectives.costs(record.values or ()) for record in ranking.complete}
    ordered = sorted(records, key=lambda r: (r.number not in place, place.get(r.number, ()), r.number))
    return [
        Row(
            record,
            _value(record, search) if record.scores else "–",
            "–" if record.seconds is None else f"{record.seconds:.2f}",
            "–" if not record.steps else f"{sum(record.steps) / len(record.steps):.0f}",
            ", ".join(
                f"{plain(name)} {words(value)}"
                for name, value in record.options.items()
                if words(value) != words(search.settings.start[name])
            ),
        )
        for record in ordered
        if record.state not in (State.SURPLUS, State.WAITING)
    ]


def _limits(search: Search, ranking: Ranking, kspace: str) -> list[str]:
    found = [
        "The best trial was chosen on the same slices that its value is given for, so the value is optimistic, the "
        "more so the fewer slices and the more trials. Run the study with the preset: its test subjects took no part.",
        "All trials used one seed of weights and held-out samples. Differences of the size that another seed makes "
        "mean nothing.",
        "Time is processor time on the machine that ran the trial; on another one it differs.",
        kspace,
    ]
    if search.objectives.quality == "held_out":
        found.insert(
            1,
            "The held-out error is measured on k-space samples that the fit did not see, noise included. It needs no "
            "reference image; it does not always rank settings as a comparison with one would.",
        )
    if ranking.start is None:
        found.append("The settings that the search started from gave no result, so they may be the better ones.")
    return found


def _value(record: Record, search: Search) -> str:
    value = record.values[0] if record.values else sum(record.scores) / len(record.scores)
    return f"{value:.2f}" if search.objectives.quality == "psnr" else f"{value:.4f}"
