"""Random command lines of a training config: known keys, keys of others and typos, with values of every kind."""

from __future__ import annotations

from hypothesis import strategies as st

from medix_r1.schema.known import known_keys, other_names
from tests.support.configs import choices

GROUPS = ("algorithm", "model", "hardware", "judge", "embedder", "placement", "lora", "trainer", "reward", "data")
_OWN = [
    key for key in sorted(known_keys()) if key.partition(".")[0] in ("run", "judge", "reward", "placement", "alarms")
]
_PLAIN = "abcXYZ019_-. ~^:/=,[]{}()'\"\\$@#%é实\n\t"

keys = st.one_of(
    st.sampled_from(sorted(known_keys())),
    st.sampled_from(_OWN),
    st.sampled_from(sorted(other_names())),
    st.sampled_from(
        ["reward.signals.llm", "reward.signals.embed.threshold", "alarms.many_masked.window", "hydra.mode"]
    ),
    st.from_regex(r"[a-z_]{1,8}(\.[a-z_]{1,8}){0,3}", fullmatch=True),
)
words = st.one_of(
    st.sampled_from(
        [
            "null",
            "true",
            "false",
            "ja",
            "nan",
            "inf",
            "-inf",
            "???",
            "0",
            "-1",
            "1e-6",
            "1e400",
            "10m",
            "1k",
            "256",
            "'256'",
            "''",
            "[]",
            "{}",
            "[1,2]",
            "1,2",
        ]
    ),
    st.sampled_from(
        ["{a: 1}", "[[]]", "[null]", "${run.seed}", "${run.sead}", "${hydra:runtime.cwd}", "${oc.env:HOME}"]
    ),
    st.sampled_from(
        ["/x/lr=1e-6", "./plug.py:", "./plug.py:X", "pkg://medix_r1.nothing", "a:b:c", "9" * 400, "x" * 5000]
    ),
    st.integers().map(str),
    st.floats().map(str),
    st.text(_PLAIN, max_size=12),
)
_CHOICES = [  # read once: a file that is added while the test runs changes nothing
    f"{group}={one}" for group in GROUPS for one in (*choices(group), "nothing", "", "null", "[a]", "1.5")
]
_group = st.sampled_from(_CHOICES)
_override = st.tuples(st.sampled_from(["", "", "", "", "+", "++", "~"]), keys, words).map(
    lambda part: f"{part[0]}{part[1]}" if part[0] == "~" else f"{part[0]}{part[1]}={part[2]}"
)
command_lines = st.lists(st.one_of(_override, _override, _override, _group, st.text(_PLAIN, max_size=15)), max_size=6)
