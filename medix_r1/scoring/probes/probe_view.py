"""The tables of `medix-r1 reward probe`: one line for each family, then every broken bound."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from medix_r1.scoring.plain import plain
from medix_r1.scoring.probes.probe import Finding

_RESTS = {"nothing": "rules", "embedder": "embedder", "judge": "judge", "both": "judge, embedder"}


def by_family(findings: Sequence[Finding]) -> Table:
    """Table of families in the order of the file, with the worst reward of each."""
    table = Table(title="Probe", title_justify="left")
    table.add_column("family", no_wrap=True)
    for heading in ("cases", "broken", "unscored"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("reward", no_wrap=True)
    table.add_column("rests on", overflow="fold")
    for is_attack in (True, False):
        for family in dict.fromkeys(f.probe.family for f in findings if f.probe.is_attack == is_attack):
            cases = [finding for finding in findings if finding.probe.family == family]
            broken = sum(bool(finding.broken) for finding in cases)
            table.add_row(
                family,
                str(len(cases)),
                Text(str(broken), style="red" if broken else ""),
                str(sum(finding.unscored for finding in cases)),
                _worst(cases, is_attack=is_attack),
                ", ".join(dict.fromkeys(_RESTS[finding.probe.rests_on] for finding in cases)),
            )
        table.add_section()
    return table


def broken_bounds(findings: Sequence[Finding]) -> Table:
    """Table of the cases with broken bounds, with the reasons of judge and embedder."""
    table = Table(title="Broken bounds", title_justify="left", show_lines=True)
    table.add_column("case", no_wrap=True)
    table.add_column("asked, right, said", overflow="fold")
    table.add_column("what broke", overflow="fold")
    table.add_column("rests on")
    for finding in findings:
        if finding.broken:
            probe = finding.probe
            said = finding.probe.reply if len(probe.reply) <= 200 else probe.reply[:200] + " …"
            texts = Text("\n").join([plain(probe.question.question), plain(probe.question.reference), plain(said)])
            why = [*finding.broken, *([finding.failure] if finding.failure else []), _reasons(finding)]
            reasons = Text("\n").join([plain(sentence, limit=300) for sentence in why])
            table.add_row(probe.name, texts, reasons, _RESTS[probe.rests_on])
    return table


def _worst(cases: Sequence[Finding], *, is_attack: bool) -> str:
    values = [finding.overall for finding in cases if finding.overall is not None]
    if not values:
        return "none"
    return f"<= {max(values):.3f}" if is_attack else f">= {min(values):.3f}"


def _reasons(finding: Finding) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in finding.reasons.items() if name in ("llm", "embed"))
