"""docs/ablation is what `medix-r1 compare` says of the runs that are kept in benchmarks/."""

import tarfile
from pathlib import Path

from medix_r1.reports.comparison import compare_files
from medix_r1.reports.comparison.compare_gaps import gaps
from medix_r1.reports.run_groups import read_run_groups

ROOT = Path(__file__).parents[3]


def test_the_table_in_docs_is_that_of_the_kept_runs(tmp_path):
    with tarfile.open(ROOT / "benchmarks" / "nano_ablation_reward.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    sweep = [str(tmp_path / "nano_ablation_reward")]
    groups = read_run_groups(sweep)

    compare_files.write(groups, tmp_path / "out", gaps(sweep, groups))

    for name in ("compare.md", "compare.csv"):
        kept = (ROOT / "docs" / "ablation" / name).read_text(encoding="utf-8")
        assert (tmp_path / "out" / name).read_text(encoding="utf-8") == kept, (
            "run: medix-r1 compare (docs/ablations.md)"
        )
