"""A scored rollout to make others of."""

from medix_r1.runs.scored_rollout import ScoredRollout

BLANK = ScoredRollout(
    key="u_0_0",
    uid="u",
    row_id="7",
    source="demo",
    question="Which lung?",
    reference="<X_RAY>left lung",
    reply="…",
    answer="left lung",
    modality="X_RAY",
    parts={"llm": 1.0},
    reasons={"llm": "exact match"},
    overall=1.0,
    masked=False,
    failure=None,
    outage=False,
    cut=False,
    tokens=12,
)
