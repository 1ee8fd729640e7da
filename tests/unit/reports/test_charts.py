from medix_r1.reports.charts import split_empty


def chart(**lines: list[float]) -> dict:
    return {"title": "shares", "traces": [{"name": name, "y": values} for name, values in lines.items()], "layout": {}}


def test_lines_that_are_always_0_are_named_and_not_drawn():
    kept, empty = split_empty([chart(cut=[0, 0], masked=[0, 1], equal=[1, 1]), chart(cut=[0])])

    assert [[trace["name"] for trace in one["traces"]] for one in kept] == [["masked", "equal"]]
    assert empty == ["shares: cut", "shares: cut"]


def test_a_line_that_is_left_alone_is_named_by_the_title():
    kept, _ = split_empty([chart(cut=[0, 0], masked=[0, 1]), chart(masked=[1])])

    assert [one["title"] for one in kept] == ["shares: masked", "shares"]
