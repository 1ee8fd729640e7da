import pytest

from medix_r1.evaluation.phases.replies import option_letter, parse_reply

CHOICES = ("the ulna", "the radius", "the femur", "A. fumigatus")


@pytest.mark.parametrize(
    ("answer", "letter"),
    [
        ("C", "C"),
        ("(c)", "C"),
        ("C.", "C"),
        ("**C**", "C"),
        ("Answer: C", "C"),
        ("The correct answer is C", "C"),
        ("C. the femur", "C"),
        ("C) The femur.", "C"),
        ("the FEMUR", "C"),
        ("Answer:C", "C"),
        ("**Answer: C**", "C"),
        ("**Answer:** C", "C"),
        ("Final Answer: C", "C"),
        ("final answer is (C).", "C"),
        ("The answer is option C.", "C"),
        ("Answer\nC", "C"),
        (r"\boxed{C}", "C"),
        (r"$\boxed{\text{C}}$", "C"),
        (r"Answer: \boxed{C}.", "C"),
        (r"\boxed{the femur}", "C"),
        ("[C]", "C"),
        ("[C] the femur", "C"),
        ("（C）", "C"),
        ("【C】", "C"),
        ("Ｃ", "C"),
        ('"C"', "C"),
        ("`C`", "C"),
        ("# C", "C"),
        ("C: the femur", "C"),
        (r"\boxed{B} or \boxed{C}", None),
        ("(B) and (C)", None),
        ("[B][C]", None),
        ("B/C", None),
        ("Answer: B or C", None),
        ("[C] the ulna", None),
        ("A. fumigatus", "D"),  # an option's text, though it looks like the letter A
        ("E", None),  # there is no E
        ("C. the ulna", None),  # a letter with another option's text
        ("B or C", None),
        ("B, C", None),
        ("C, but maybe not", None),
        ("not C", None),
        ("femur", None),  # nearly an option: for the judge
        ("A fracture of the femur", None),
        ("", None),
    ],
)
def test_only_a_letter_beyond_doubt_needs_no_judge(answer, letter) -> None:
    assert option_letter(answer, CHOICES) == letter


@pytest.mark.parametrize(
    ("answer", "choices", "letter"),
    [
        ("A", ("B", "A"), None),  # the letter of one, the text of the other
        ("B", ("B", "A"), None),
        ("C", ("A", "B12", "C", "D"), "C"),  # letter and text of the same
        ("B12", ("A", "B12", "C", "D"), "B"),
        ("A", ("", "heart", "liver"), None),  # there is no option A
        ("B", ("", "heart", "liver"), "B"),
        ("liver", ("", "heart", "liver"), "C"),
    ],
)
def test_a_letter_that_is_another_options_text_is_for_the_judge(answer, choices, letter) -> None:
    assert option_letter(answer, choices) == letter


def test_two_options_with_the_same_text_are_not_told_apart() -> None:
    assert option_letter("left", ("left", "Left")) is None
    assert option_letter("B", ("left", "Left")) == "B"


WELL = "<X_RAY><think>there is a line</think><answer>a fracture</answer>"


@pytest.mark.parametrize(
    ("text", "prompt", "answer", "well_formed"),
    [
        (WELL, "training", "a fracture", True),
        (WELL, "plain", "a fracture", True),
        ("a fracture", "training", None, False),  # nothing is graded by guess
        ("a fracture", "plain", "a fracture", True),
        ("<X_RAY><think>it goes on and on", "training", None, False),  # cut while thinking
        ("<think>it goes on and on", "plain", None, True),
        ("<think>so</think>a fracture", "plain", "a fracture", True),
        ("<answer>a</answer><answer>b</answer>", "training", None, False),
    ],
)
def test_what_is_graded(text, prompt, answer, well_formed) -> None:
    reply = parse_reply(text, None, prompt=prompt, think_element="think", has_image=True)
    assert (reply.answer, not reply.problems) == (answer, well_formed)


def test_reasoning_that_the_server_took_out_is_put_back() -> None:
    reply = parse_reply("<answer>yes</answer>", "I see", prompt="training", think_element="think", has_image=False)
    assert (reply.think, reply.answer, reply.problems) == ("I see", "yes", ())
