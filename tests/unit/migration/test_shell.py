import pytest

from medix_r1.migration.shell import UNKNOWN, NotReadable, read_shell


def commands(text: str) -> list[list[str]]:
    return [[word.replace(UNKNOWN, "?") for word in command] for command in read_shell(text).commands]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b \\\n  c # it's said\n", ["a", "b", "c"]),
        ("N=3\nrun x=$N y=${N} z='$N' w=\"${N}4\"", ["run", "x=3", "y=3", "z=$N", "w=34"]),
        ("run a=${A:-b} b=${B:-${C:-c}}", ["run", "a=b", "b=c"]),
        ("A=1; A=2; run $A", ["run", "2"]),
        ('P=(a=1\n  # first\n  b=2)\nP+=(c=3)\nrun "${P[@]}" d', ["run", "c=3", "d"]),
        ('P=(a=1\n  # first\n  b=2)\nrun "${P[@]}" d', ["run", "a=1", "b=2", "d"]),
        ("N=$((2 * 4))\nrun n=$((N + 1))", ["run", "n=9"]),
        ("run a=$(date) b=$HOME", ["run", "a=?$(date)?", "b=?$HOME?"]),
        ("run l=['a','b'] j='{\"n\": 1}'", ["run", "l=[a,b]", 'j={"n": 1}']),
        ("if true; then run x; fi", ["run", "x"]),
        ("cat <<'E'\nit's text\nE\nrun x", ["run", "x"]),
        ("run x # don't\n", ["run", "x"]),
        ("run a\\$b c#d", ["run", "a$b", "c#d"]),
        ("run x\r\n", ["run", "x"]),
    ],
)
def test_words_of_the_last_command(text, words):
    assert commands(text)[-1] == words


def test_exported_and_set_before_a_command():
    script = read_shell("export A=1 B=two\nC=3 run x\nD=4\n")

    assert script.exported == {"A": "1", "B": "two", "C": "3"}
    assert script.commands == [["run", "x"]]


@pytest.mark.parametrize("text", ["run 'x", 'run "x', "run $(x", "run \ue003x", "A=$((1"])
def test_what_no_shell_reads(text):
    with pytest.raises(NotReadable):
        read_shell(text)


@pytest.mark.parametrize(
    "text", ["run n=$((9**9**9))", "run n=$((1/0))", "run n=$((" + "(" * 400 + "1" + ")" * 400 + "))"]
)
def test_arithmetic_that_is_none_stays_as_it_is_written(text):
    assert "?" in commands(text)[-1][1]


def test_a_variable_that_names_itself_ends():
    assert commands("A=$A$A\nA=$A$A\nrun $A")
