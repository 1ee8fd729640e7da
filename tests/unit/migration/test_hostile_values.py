"""Whatever stands behind a key, a translation is made; what a run cannot take, its checks refuse later."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medix_r1.migration import translate
from medix_r1.migration.draft import Draft, table
from medix_r1.migration.found import Project, Script, Unresolved
from medix_r1.schema.known import other_projects

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["", "1k", "steps", "no", "grpo", "adamw_bf16", "a/b:c", "../x", "\x1b[31m"])
    | st.builds(Unresolved, st.just("$X"))
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=2)


def made(project: Project, given_settings: dict[str, object]) -> Draft:
    draft = Draft(Script(project, dict(given_settings)))
    if project is Project.TRL:
        draft.values["trainer.n_gpus_per_node"] = 8
    translate._translate_keys(draft)
    translate._complete(draft)
    return draft


@pytest.mark.parametrize("project", Project)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_values_of_known_and_unknown_keys(project, data):
    keys = st.sampled_from(sorted(other_projects()[project.value])).map(lambda key: key.replace("*", "x"))
    script = data.draw(st.dictionaries(keys | st.text(max_size=12), VALUES, max_size=12))

    draft = made(project, script)

    assert set(draft.entries) >= set(script)
    assert draft.row_tokens() > 0


@pytest.mark.parametrize("project", Project)
@pytest.mark.parametrize("value", [None, "1k", -1, True, [], {}, 1e400, "${x}"])
def test_one_odd_value_behind_every_key(project, value):
    for key in table(Script(project)):
        assert made(project, {key.replace("*", "x"): value}).entries
