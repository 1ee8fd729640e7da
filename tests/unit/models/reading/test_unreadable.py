import pytest

from medix_r1.models.reading.reply_text import Message, message_of
from medix_r1.models.reading.unreadable import why_unreadable


@pytest.mark.parametrize(
    ("message", "read"),
    [
        ({"content": "YES"}, Message("YES")),
        ({"content": None}, Message("")),
        ({"content": "YES", "reasoning_content": "hm"}, Message("YES", "hm")),
        ({"reasoning": "hm"}, Message("", "hm")),
        ({"content": None, "refusal": "No, I cannot."}, Message("", refusal="No, I cannot.")),
        ({"content": [{"type": "text", "text": "YE"}, {"type": "text", "text": "S"}]}, Message("YES")),
        ({"content": [{"type": "output_text", "text": "YES"}]}, Message("YES")),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "NO"},
                ]
            },
            Message("NO", "hm"),
        ),
        ({"content": [{"type": "reasoning", "text": "hm"}, {"type": "text", "text": "NO"}]}, Message("NO", "hm")),
    ],
)
def test_text_and_thinking_of_a_message(message, read):
    assert message_of({"message": message}) == read


@pytest.mark.parametrize("message", [{}, None, {"content": 1}, {"content": ["YES"]}, {"content": [{"text": "YES"}]}])
def test_what_is_no_message(message):
    with pytest.raises((TypeError, LookupError)):
        message_of({"message": message})


@pytest.mark.parametrize(
    ("message", "code", "quoted"),
    [
        (Message("", "hm hm", "length"), "cut-while-thinking", "hm hm"),
        (Message("<think>so", "", "length"), "cut-while-thinking", "so"),
        (Message("", "hm", "stop"), "empty-reply", "stop"),
        (Message("", "", "length"), "empty-reply", "length"),
        (Message(" ", "", None), "empty-reply", "512"),
        (Message("", "", "stop", "I cannot"), "refused-to-answer", "I cannot"),
        (Message("The two", "", "length"), "cut-reply", "512"),
        (Message("Well", "", "stop"), "no-verdict", "Well"),
    ],
)
def test_why_a_reply_cannot_be_read(message, code, quoted):
    problem = why_unreadable(message, 512, "YES or NO")
    assert (problem.code, quoted in problem.text) == (code, True)
