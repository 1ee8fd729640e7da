"""The verbs of `medix-r1 reward`, from arguments to exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from medix_r1.config import compose_reward
from medix_r1.errors import ConfigError
from medix_r1.host.files import atomic_write
from medix_r1.rewards.base import Sample, SampleReader
from medix_r1.rewards.build import build_rules
from medix_r1.rewards.composite import NOTHING_APPLIES, RewardBreakdown
from medix_r1.scoring import explain, rows
from medix_r1.scoring import score as scores
from medix_r1.scoring.composed import PlannedReward
from medix_r1.scoring.groups import score_group
from medix_r1.scoring.judging import audit as audits
from medix_r1.scoring.judging import audit_report
from medix_r1.scoring.judging.verdict import Quality, quality, sentences
from medix_r1.scoring.output import Output
from medix_r1.scoring.plain import plain
from medix_r1.scoring.probes import probe, probe_file, probe_view
from medix_r1.scoring.probes.confident import probes_for
from medix_r1.scoring.running import Advance, run_with_progress


def score_file(
    file: Path,
    overrides: Sequence[str],
    out: Path,
    judge_url: str | None,
    config_dirs: Sequence[Path],
    console: Console,
    *,
    in_flight: int,
    restart: bool,
    signal: str | None = None,
) -> int:
    """Score the rows of a file that have no score; return 0 when all rows have one."""
    if out.resolve() == file.resolve():
        raise ConfigError.of("--out", "same-file", f"{out} is the file to be scored; choose another")
    planned = PlannedReward(overrides, judge_url=judge_url, config_dirs=config_dirs, alone=signal)
    planned.refuse_soft_overlong()
    found = rows.check(file, parser=planned.config.reward.parser)
    with Output(out, planned.settings(), restart=restart) as output:
        if output.done >= found.count:
            console.print(f"all {found.count} rows have a score already", highlight=False)
        else:
            with planned.ready(console) as ready:
                if ready.composite.wants_images:
                    rows.check(file, parser=planned.config.reward.parser, needs_images=True)

                async def work(advance: Advance) -> None:
                    await scores.score(ready, file, found, output, in_flight=in_flight, advance=advance)

                if not run_with_progress(work, [ready], console, "scoring", found.count, done=output.done):
                    console.print(f"stopped; the same command goes on from here. Scores so far: {out}", highlight=False)
                    return 1
    return _show_scores(out, found.count, console)


def _show_scores(out: Path, count: int, console: Console) -> int:
    summary = scores.summarise(out)
    table = Table(title="Reward", title_justify="left")
    for heading in ("part", "mean", "std", "rows", "without"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    scored_rows = summary.rows - summary.unscored - summary.inapplicable
    for name, column in summary.columns.items():
        figures = (f"{column.mean:.4f}", f"{column.deviation:.4f}") if column.values else ("", "")
        table.add_row(plain(name), *figures, str(column.values), str(scored_rows - column.values))
    console.print(table)
    missing = count - scored_rows - summary.inapplicable
    if summary.listed:
        unscored = Table(title=f"Unscored: {summary.unscored}", title_justify="left")
        for heading in ("line", "id", "why"):
            unscored.add_column(heading, overflow="fold")
        for line, name, failure in summary.listed:
            unscored.add_row(str(line), plain(name), plain(failure, limit=300))
        console.print(unscored)
    if summary.inapplicable:
        console.print(f"{summary.inapplicable} of {count} rows: {NOTHING_APPLIES}", highlight=False)
    if missing > 0:
        console.print(
            f"[red]{missing} of {count} rows have no score[/]; the same command tries them again. {out}",
            highlight=False,
        )
        return 1
    masked = f", {summary.masked} of them masked as cut" if summary.masked else ""
    console.print(f"{scored_rows} rows scored{masked}: {out}", highlight=False)
    return 0


def explain_row(
    where: str | None,
    name: str | None,
    question: str,
    reference: str | None,
    completion: str | None,
    overrides: Sequence[str],
    judge_url: str | None,
    config_dirs: Sequence[Path],
    console: Console,
    *,
    as_json: bool,
) -> int:
    """Show the reward of one reply; return 1 when it has none."""
    folder, row = _row(where, name, question, reference, completion)
    planned = PlannedReward(
        overrides,
        judge_url=judge_url,
        config_dirs=config_dirs,
        besides=lambda parser: rows.reference_problems(row, parser, where or "options"),
    )
    told = Console(stderr=True) if as_json else console
    shown: list[tuple[Sample, RewardBreakdown]] = []
    with planned.ready(told) as ready:

        async def work(advance: Advance) -> None:
            company = _group_of(row, where, name) if ready.composite.group_signals else [row]
            wants_images = ready.composite.wants_images
            samples = [one.sample(ready.reader, one.images(folder) if wants_images else ()) for one in company]
            breakdowns = await score_group(ready.composite, samples, row.group_name)
            place = company.index(row)
            shown.append((samples[place], breakdowns[place]))

        if not run_with_progress(work, [ready], told, "scoring", 1):
            told.print("stopped")
            return 1
    [(sample, breakdown)] = shown
    if as_json:
        sys.stdout.write(explain.as_json(sample, breakdown) + "\n")
    else:
        console.print(explain.explanation(sample, breakdown))
    return 1 if breakdown.total is None else 0


def _row(
    where: str | None, name: str | None, question: str, reference: str | None, completion: str | None
) -> tuple[Path, rows.Row]:
    """The row to explain, and the folder that its image paths are relative to."""
    if where is None:
        if reference is None or completion is None:
            raise ConfigError.of(
                "explain",
                "nothing-to-explain",
                "give --reference and --completion, or a row of a file with --row FILE:LINE",
            )
        text = sys.stdin.read() if completion == "-" else completion
        given = json.dumps({"question": question, "reference": reference, "completion": text})
        return Path(), rows.parse(given, "options")
    file, _, line = where.rpartition(":")
    if name is not None:
        return Path(where).parent, rows.find(Path(where), name=name).row
    if not file or not line.isdigit():
        raise ConfigError.of(
            "--row", "not-file-and-line", f"'{where}' is not FILE:LINE; name the row's line, or add --id"
        )
    return Path(file).parent, rows.find(Path(file), line=int(line)).row


def _group_of(row: rows.Row, where: str | None, name: str | None) -> list[rows.Row]:
    """The rows of the file that are of a row's group, in their order; a reply of the command line stands alone."""
    if where is None:
        return [row]
    file = Path(where if name is not None else where.rpartition(":")[0])
    return [line.row for line in rows.read(file, rows.Row) if line.row.group_name == row.group_name]


def probe_reward(
    file: Path | None,
    families: Sequence[str],
    overrides: Sequence[str],
    json_out: Path | None,
    judge_url: str | None,
    config_dirs: Sequence[Path],
    console: Console,
) -> int:
    """Score every probe; return 1 when a bound is broken."""
    planned = PlannedReward(overrides, judge_url=judge_url, config_dirs=config_dirs)
    reward = OmegaConf.to_container(planned.config.reward, resolve=True)
    assert isinstance(reward, dict)
    probes = probes_for(reward, None if file is None else probe_file.found(file), families)
    findings: list[probe.Finding] = []
    with planned.ready(console) as ready:

        async def work(advance: Advance) -> None:
            findings.extend(await probe.run(ready, probes, advance=advance))

        if not run_with_progress(work, [ready], console, "probing", len(probes)):
            console.print("stopped")
            return 1
    if json_out is not None:
        about = {"overrides": list(overrides), "settings": planned.settings()}
        atomic_write(json_out, probe.as_json(findings, about) + "\n")
    console.print(probe_view.by_family(findings))
    broken = [finding for finding in findings if finding.broken]
    if broken:
        console.print(probe_view.broken_bounds(findings))
    if absent := sorted({name for finding in findings for name in finding.not_there}):
        console.print(f"Not looked at, because this reward has no such part: {', '.join(absent)}", highlight=False)
    attacks = sum(finding.probe.is_attack for finding in findings)
    on_rules = sum(finding.probe.rests_on == "nothing" for finding in broken)
    told = f"{attacks} attacks, {len(findings) - attacks} right answers: "
    if not broken:
        console.print(f"[green]{told}every bound holds[/]", highlight=False)
        return 0
    console.print(
        f"[red]{told}{len(broken)} break a bound[/], {on_rules} of them one that rests on rules alone", highlight=False
    )
    return 1


def audit_file(
    file: Path,
    overrides: Sequence[str],
    second: Sequence[str],
    signal: str,
    judge_url: str | None,
    config_dirs: Sequence[Path],
    json_out: Path | None,
    markdown: Path | None,
    console: Console,
    *,
    recorded: bool,
    worst: int,
    in_flight: int,
    group_size: int,
) -> int:
    """Compare two sides on a file; return 1 when rows could not be scored or none was compared."""
    settings = compose_reward(overrides, config_dirs).reward
    node = settings.signals.get(signal)
    alone = None if node is None or node.get("needs") else signal  # the others' judges and embedders need not start
    first_plan = (
        None if recorded else PlannedReward(overrides, judge_url=judge_url, config_dirs=config_dirs, alone=alone)
    )
    second_plan = PlannedReward([*overrides, *second], config_dirs=config_dirs, alone=alone) if second else None
    for plan in (first_plan, second_plan):
        if plan and plan.config.reward.signals.get(signal) is None:
            known = ", ".join(str(name) for name in plan.config.reward.signals)
            raise ConfigError.of(
                f"--signal {signal}", "no-such-signal", f"this reward has none of that name; known: {known}"
            )
    # Recorded values follow the rules of the run's config, which `overrides` name.
    sides = [build_rules(node, signal) for node in (settings, second_plan and second_plan.config.reward) if node]
    count = rows.check(file, audits.AuditRow, parser=settings.parser).count
    found: list[audits.Audit] = []
    with ExitStack() as servers:
        plans = [plan and servers.enter_context(plan.ready(console)) for plan in (first_plan, second_plan)]
        ready_first, ready_second = plans
        first = audits.SignalRater(ready_first, signal, "judge") if ready_first else audits.RecordedRater(signal)
        other = audits.SignalRater(ready_second, signal, "second judge") if ready_second else audits.LabelRater()

        with_images = any(ready.composite.wants_images for ready in plans if ready)
        if with_images:
            rows.check(file, audits.AuditRow, parser=settings.parser, needs_images=True)

        async def work(advance: Advance) -> None:
            one = await audits.audit(
                file,
                SampleReader.of(settings),
                first,
                other,
                signals=[rules for rules in sides if rules],
                worst=worst,
                in_flight=in_flight,
                with_images=with_images,
                advance=advance,
            )
            found.append(one)

        if not run_with_progress(work, [ready for ready in plans if ready], console, "asking", count):
            console.print("stopped")
            return 1
    judged = quality(found[0].rated, group_size) if found[0].rated else None
    return _show_audit(found[0], judged, file, json_out, markdown, console)


def _show_audit(
    found: audits.Audit,
    judged: Quality | None,
    file: Path,
    json_out: Path | None,
    markdown: Path | None,
    console: Console,
) -> int:
    if json_out is not None:
        atomic_write(json_out, audit_report.as_json(found, judged) + "\n")
    if markdown is not None:
        atomic_write(markdown, audit_report.as_markdown(found, judged, file) + "\n")
    if found.agreement is not None:
        console.print(audit_report.confusion(found))
    if judged is not None:
        console.print(audit_report.errors(found, judged))
        if judged.orders:
            console.print(audit_report.orders(judged))
    if found.worst:
        console.print(audit_report.worst(found))
    for line, reason in found.unscored[: scores.MAX_LISTED]:
        console.print(plain(f"{file}:{line}: unscored: {reason}"))
    for sentence in [*audit_report.summary(found), *(sentences(judged) if judged is not None else [])]:
        console.print(plain(sentence), highlight=False)
    return 1 if found.unscored or found.agreement is None else 0
