"""`medix-r1 judge band`: chooses the band of a cascade on pairs of the user's own, and says what it gives on others."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from medix_r1.agreement import Agreement, Interval
from medix_r1.config import compose_reward
from medix_r1.errors import ConfigError
from medix_r1.host.files import atomic_write
from medix_r1.pages.style import figure_files
from medix_r1.rewards.build import build_rules
from medix_r1.scoring import rows
from medix_r1.scoring.composed import PlannedReward, ReadyReward
from medix_r1.scoring.judging import audit as audits
from medix_r1.scoring.judging import band as bands
from medix_r1.scoring.judging.kinds import Rated
from medix_r1.scoring.plain import plain
from medix_r1.scoring.running import Advance, run_with_progress
from medix_r1.serving.composed_judges import gives_probability, is_composed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIGNAL = "llm"
_FEW = 200  # rows below which a band is little more than chance
_PLACEHOLDERS = {"low": 0.25, "high": 0.75}  # of a cascade whose band is not chosen yet


@dataclass(frozen=True, slots=True)
class BandChoice:
    """What `judge band` found.

    Attributes:
        chosen_on, measured_on: numbers of rows.
        alone: the small judge's agreement with the strong one, at 1/2.
        chosen: the band for the user's share or agreement.
        curve: bands for other shares.
    """

    chosen_on: int
    measured_on: int
    alone: Agreement
    chosen: bands.Point
    curve: Sequence[bands.Point]

    @property
    def overrides(self) -> str:
        """What to give `medix-r1 train`."""
        low, high = self.chosen.band.low, self.chosen.band.high
        given = {"low": f"{low:.6g}", "high": f"{high:.6g}", "expected_agreement": f"{self.alone.share:.3f}"}
        return " ".join(f"judge.client.{name}={value}" for name, value in given.items())


class _Half(audits.SignalRater):
    """One judge of a cascade, asked as the signal asks the whole."""

    def __init__(self, ready: ReadyReward, part: str) -> None:
        super().__init__(ready, _SIGNAL, f"{part} judge")
        signal = copy.copy(self._signal)
        signal.judge = getattr(signal.judge, part)
        self._signal = signal


def choose_band(
    file: Path,
    overrides: Sequence[str],
    heldout: Path | None,
    judge_url: str | None,
    config_dirs: Sequence[Path],
    json_out: Path | None,
    plot: Path | None,
    console: Console,
    *,
    share: float,
    agreement: float | None,
    in_flight: int,
) -> int:
    """Rate the pairs by both judges, choose a band and show it; return 1 when rows could not be rated.

    Raises:
        ConfigError: the judge gives no probabilities, a file is wrong, or there are too few pairs.
    """
    planned = _planned(overrides, judge_url, config_dirs)
    files = [file] if heldout is None else [file, heldout]
    count = sum(rows.check(one, audits.AuditRow, parser=planned.config.reward.parser).count for one in files)
    rules = [signal for signal in [build_rules(planned.config.reward, _SIGNAL)] if signal]
    found: list[audits.Audit] = []
    with planned.ready(console) as ready:
        if ready.composite.wants_images:
            for one in files:
                rows.check(one, audits.AuditRow, parser=planned.config.reward.parser, needs_images=True)
        is_cascade = "small" in planned.config.judge.client
        small: audits.Rater = _Half(ready, "small") if is_cascade else audits.SignalRater(ready, _SIGNAL, "small judge")
        strong: audits.Rater = _Half(ready, "strong") if is_cascade else audits.LabelRater()

        async def work(advance: Advance) -> None:
            for one in files:
                rated = await audits.audit(
                    one,
                    ready.reader,
                    small,
                    strong,
                    signals=rules,
                    worst=0,
                    in_flight=in_flight,
                    with_images=ready.composite.wants_images,
                    advance=advance,
                )
                found.append(rated)

        if not run_with_progress(work, [ready], console, "asking", count):
            console.print("stopped")
            return 1
    for one, audited in zip(files, found, strict=True):
        for line, reason in audited.unscored[:10]:
            console.print(plain(f"{one}:{line}: unscored: {reason}"))
        counts = f"{audited.by_rule} decided by rule, {len(audited.unscored)} unscored, {len(audited.rated)} rated"
        console.print(plain(f"{one}: {audited.rows} rows: {counts}"))
    choice = choose(*(one.rated for one in found), share=share, agreement=agreement)
    if json_out is not None:
        atomic_write(json_out, json.dumps(as_fields(choice), indent=1) + "\n")
    if plot is not None:
        draw(plot, choice)
    show(choice, console)
    return 1 if any(one.unscored for one in found) else 0


def _planned(overrides: Sequence[str], judge_url: str | None, config_dirs: Sequence[Path]) -> PlannedReward:
    client = compose_reward(overrides, config_dirs).judge.client
    more: list[str] = []
    if client is not None and "small" in client:
        # The band is what is looked for; one that was given plays no part.
        more = [f"judge.client.{name}={value}" for name, value in _PLACEHOLDERS.items()]
    elif client is not None and not is_composed(client) and "mode" in client:
        more = ["judge.client.mode=probability"]
    planned = PlannedReward([*overrides, *more], judge_url=judge_url, config_dirs=config_dirs, alone=_SIGNAL)
    if not planned.asks_a_judge:
        raise ConfigError.of("judge.client", "no-judge", "the signal llm asks none; choose one, such as judge=cascade")
    client = planned.config.judge.client
    if "small" not in client and not gives_probability(client):
        says = "gives no probability, and a band needs one; take a member with mode=probability, or another judge"
        raise ConfigError.of("judge.client", "no-probability", says)
    return planned


def choose(
    rated: Sequence[Rated], heldout: Sequence[Rated] | None = None, *, share: float, agreement: float | None
) -> BandChoice:
    """Choose a band on some rows and measure it on others.

    Args:
        rated: rows to choose on; without `heldout`, half of their questions.
        heldout: rows to measure on.
        share: of strong calls, at most.
        agreement: if given, the smallest share that reaches it on the rows to choose on is taken instead.

    Raises:
        ConfigError: no row is right or none is wrong on one side; or no share below 1 reaches the agreement.
    """
    chosen_on, measured_on = bands.halves(rated) if heldout is None else (rated, heldout)
    for part, name in ((chosen_on, "to choose on"), (measured_on, "to measure on")):
        if {row.is_right for row in part} != {True, False}:
            says = f"{len(part)} pairs {name}, and right and wrong ones are needed; give more, with labels"
            raise ConfigError.of("FILE", "too-few-pairs", says)
    wanted: float | None = share
    if agreement is not None and (wanted := bands.smallest_share(chosen_on, agreement)) is None:
        raise ConfigError.of("--agreement", "not-reached", f"no band reaches {agreement:g} below 100 % of strong calls")
    assert wanted is not None
    chosen = bands.measure(measured_on, bands.choose(chosen_on, wanted), wanted)
    curve = bands.curve(chosen_on, measured_on)
    return BandChoice(len(chosen_on), len(measured_on), bands.alone(measured_on), chosen, curve)


def show(choice: BandChoice, console: Console) -> None:
    """Print the curve, the band and what to give `medix-r1 train`."""
    table = Table(title=f"Bands chosen on {choice.chosen_on} pairs, measured on {choice.measured_on}")
    table.title_justify = "left"
    for head in ("for at most", "low", "high", "strong calls", "agreement", "kappa"):
        table.add_column(head, justify="right")
    for point in choice.curve:
        ends = [f"{point.band.low:.3g}", f"{point.band.high:.3g}"]
        table.add_row(f"{point.wanted:.0%}", *ends, f"{point.share:.1%}", *_agreed(point.agreement))
    table.add_row("alone, at 1/2", "", "", "0.0%", *_agreed(choice.alone))
    console.print(table)
    point = choice.chosen
    share, kappa = _agreed(point.agreement)
    console.print(
        f"for at most {point.wanted:.0%}: {point.share:.1%} strong calls, agreement {share}, kappa {kappa}",
        highlight=False,
    )
    if choice.chosen_on < _FEW:
        console.print(f"[yellow]{choice.chosen_on} pairs are few to choose on; some hundred are better[/]")
    console.print(f"medix-r1 train … judge=cascade {choice.overrides}", highlight=False, soft_wrap=True)


def as_fields(choice: BandChoice) -> dict[str, Any]:
    """For JSON."""

    def agreed(found: Agreement) -> dict[str, Any]:
        kappa = {"kappa": found.kappa, "kappa_interval": found.kappa_interval and asdict(found.kappa_interval)}
        return {"agreement": found.share, "agreement_interval": asdict(found.share_interval), **kappa}

    def point(one: bands.Point) -> dict[str, Any]:
        return {"wanted": one.wanted, **asdict(one.band), "strong_share": one.share, **agreed(one.agreement)}

    return {
        "chosen_on": choice.chosen_on,
        "measured_on": choice.measured_on,
        "alone": agreed(choice.alone),
        "chosen": point(choice.chosen),
        "curve": [point(one) for one in choice.curve],
        "overrides": choice.overrides,
    }


@figure_files
def draw(choice: BandChoice) -> Figure:
    """Draw agreement and kappa against the share of strong calls, with 95 % intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axis = figure.subplots()
    curve = sorted(choice.curve, key=lambda point: point.share)
    shares, found = [100 * point.share for point in curve], [point.agreement for point in curve]
    lines: dict[str, tuple[list[Any], list[Any], str, str]] = {
        "agreement": ([one.share for one in found], [one.share_interval for one in found], "o", "-"),
        "Cohen's kappa": ([one.kappa for one in found], [one.kappa_interval for one in found], "s", "--"),
    }
    at_half = {"agreement": choice.alone.share, "Cohen's kappa": choice.alone.kappa}
    for colour, (name, (values, intervals, marker, dash)) in zip(("C0", "C1"), lines.items(), strict=True):
        points = [(x, y, one) for x, y, one in zip(shares, values, intervals, strict=True) if y is not None]
        xs, ys = [x for x, *_ in points], [y for _, y, _ in points]
        ends = [one or Interval(y, y) for _, y, one in points]
        axis.plot(xs, ys, dash, color=colour, marker=marker, label=name)
        axis.fill_between(xs, [one.low for one in ends], [one.high for one in ends], color=colour, alpha=0.15)
        if (half := at_half[name]) is not None:
            axis.plot([0], [half], marker, color=colour, fillstyle="none", label=f"{name}, small judge alone")
    axis.set_xlabel("strong calls, % of the pairs")
    axis.set_ylabel("with the strong judge")
    axis.legend(loc="lower right")
    return figure


def _agreed(found: Agreement) -> tuple[str, str]:
    kappa = "–" if found.kappa is None else _interval(found.kappa, found.kappa_interval)
    return _interval(found.share, found.share_interval), kappa


def _interval(value: float, interval: Interval | None) -> str:
    return f"{value:.3f}" if interval is None else f"{value:.3f} ({interval.low:.3f} to {interval.high:.3f})"
