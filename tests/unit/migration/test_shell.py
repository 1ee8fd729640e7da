import pytest

from medix_r1.migration.shell import UNKNOWN, Depends, NotReadable, read_shell


def commands(text: str) -> list[list[str]]:
    return [[word.replace(UNKNOWN, "?") for word in command] for command in read_shell(text).commands]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b \\\n  c # it's said\n", ["a", "b", "c"]),
        ("N=3\nrun x=$N y=${N} z='$N' w=\"${N}4\"", ["run", "x=3", "y=3", "z=$N", "w=34"]),
        ("run a=${A:-b} b=${B:-${C:-c}}", ["run", "a=b", "b=c"]),
        ("A=1; A=2; run $A", ["run", "2"]),
        ('P=(a=1\n  # first\n  b=2)\nP+=(c=3)\nrun "${P[@]}" d', ["run", "a=1", "b=2", "c=3", "d"]),
        ('P=(a=1\n  # first\n  b=2)\nrun "${P[@]}" d', ["run", "a=1", "b=2", "d"]),
        ("N=$((2 * 4))\nrun n=$((N + 1))", ["run", "n=9"]),
        ("D=`date +%s`; run d=$D e=`basename /a/b.c .c`", ["run", "d=?$(date +%s)?", "e=b"]),
        ('O="a=1 b=$(date +%s) c=$X"; run $O', ["run", "a=1", "b=?$(date +%s)?", "c=?$X?"]),
        (": ${N:=3}; run ${N} ${M=4} $M", ["run", "3", "4", "4"]),
        ("run a=$(date) b=$HOME", ["run", "a=?$(date)?", "b=?$HOME?"]),
        ("run l=['a','b'] j='{\"n\": 1}'", ["run", "l=[a,b]", 'j={"n": 1}']),
        ("if true; then run x; fi", ["run", "x"]),
        ("cat <<'E'\nit's text\nE\nrun x", ["run", "x"]),
        ("run x # don't\n", ["run", "x"]),
        ("run a\\$b c#d", ["run", "a$b", "c#d"]),
        ("run x\r\n", ["run", "x"]),
        ('O=" a=1 \\\n  b=2"\nrun $O "$O"', ["run", "a=1", "b=2", " a=1    b=2"]),
        ('B="a=1 b=2"\nrun x=$B', ["run", "x=a=1", "b=2"]),
        ("run $NONE ''", ["run", "?$NONE?", ""]),
        ('E=\nrun $E "$E" y', ["run", "", "y"]),
        ('f() {\n  local n=$1; shift\n  run n=$n "$@"\n}\nf one a=1 "b=2 3"', ["run", "n=one", "a=1", "b=2 3"]),
        ('function f { run ${2:-none} "$*"; }; f a', ["run", "none", "a"]),
        ("run ${1:-d} $1", ["run", "d", "?$1?"]),
        ('C="run a=1"; C+=" b=2"; eval "$C c=3"', ["run", "a=1", "b=2", "c=3"]),
        ('N=4; srun bash -lc "cd x && run n=$N"', ["run", "n=4"]),
        ("run a >out.txt 2>&1 b=2 | tee x", ["tee", "x"]),
        ("for l in 1 2; do run l=$l; done", ["run", "l=1"]),
        (
            "P=/m/Qwen-7B.gguf\nrun ${P##*/} ${P%.*} ${P/Qwen/Q} ${P^^} ${P:3:4} $(basename $P .gguf)",
            ["run", "Qwen-7B.gguf", "/m/Qwen-7B", "/m/Q-7B.gguf", "/M/QWEN-7B.GGUF", "Qwen", "Qwen-7B"],
        ),
        ("A=(x y z); run ${A[1]} ${#A[@]}", ["run", "y", "3"]),
        ("L=4; if [ $X ]; then L=8; fi; run $L", ["run", "4"]),
        ("if [ $X ]; then L=8; else L=4; fi; run $L", ["run", "4"]),
        ('if [ -z "$L" ]; then L=8; fi; run $L', ["run", "8"]),
        ('while [ $# -gt 0 ]; do case $1 in --l) L="$2"; shift 2;; esac; done\nrun ${L:-3}', ["run", "3"]),
        ('set -- a=1 "$@"; run "$@"', ["run", "a=1"]),
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


@pytest.mark.parametrize(
    ("text", "depends"),
    [
        ("L=4; if [ $X ]; then L=8; fi; run $L", {"L": Depends("4", ("8",))}),
        ("if [ $X ]; then L=8; else L=4; fi; O=l=$L; run $O", {"L": Depends("4", ("8",))}),
        ("A=(a=1)\nif x; then A+=(b=2); fi\nrun ${A[@]}", {"A": Depends("b=2", ())}),
        ('x && L=1\neval "run $L"', {"L": Depends("1", ())}),
        ("for l in 1 2; do run l=$l; done", {"l": Depends("1", ("2",))}),
        ("for l in 1; do run l=$l; done", {}),
        ('if [ -z "$L" ]; then L=8; fi; run $L', {}),
        ("L=4; if [ $X ]; then L=8; fi; run x", {}),
    ],
)
def test_what_a_condition_decides_is_said(text, depends):
    assert read_shell(text).depends[-1] == depends


@pytest.mark.parametrize("text", ["f() { f; f; f; f; f; f; f; f; f; f; }; f", "A=xxxxxxxx\n" + "A=$A$A\n" * 40])
def test_a_script_that_would_not_end(text):
    with pytest.raises(NotReadable):
        read_shell(text)


def test_a_variable_that_names_itself_ends():
    assert commands("A=$A$A\nA=$A$A\nrun $A")
