import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medix_r1.models.reading.sent_texts import SentTexts

REPORT = (
    "Findings: Mr. Quokkawort, 45 years old, MRN 7351-99.\nThere is no effusion in the left lung; naïve T-cells < 5 %."
)
URI = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAYAAAAf8"
BODY = {
    "model": "org/policy",
    "messages": [
        {
            "role": "user",
            "content": [{"type": "text", "text": REPORT}, {"type": "image_url", "image_url": {"url": URI}}],
        }
    ],
    "metadata": {"user": "wombatson"},
    "max_tokens": 4096,
}
SENT = SentTexts.of_body(lambda: BODY, "sk-very-secret-0815")
SECRETS = ("quokkawort", "7351", "effusion", "naïve", "na\\u00efve", "iVBORw0KGgo", "wombatson", "very-secret", "0815")


@pytest.mark.parametrize(
    "echo",
    [
        REPORT,
        REPORT.upper(),
        f"bad request: {REPORT[:30]}",
        json.dumps(BODY),
        json.dumps(json.dumps(BODY)),
        json.dumps(BODY, ensure_ascii=False),
        repr(BODY),
        repr(repr(BODY)),
        quote(REPORT),
        REPORT.replace("<", "&lt;").replace("\n", "<br/>"),
        " ".join(REPORT.split()),
        f"input_value='{REPORT[:22]}...{REPORT[-30:]}', input_type=str",
        "Unexpected token 'Quokkawort' at line 1",
        f"bad image: {URI[22:50]}",
        "user wombatson has no credit",
        "Incorrect API key: sk-very-secret-0815",
        "Incorrect API key: Bearersk-very-secret-0815x",
    ],
)
def test_nothing_that_was_sent_is_left_however_it_is_repeated(echo):
    shown = SENT.hide(echo)
    assert [secret for secret in SECRETS if secret.casefold() in shown.casefold()] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5012 tokens in the messages.",
        "The model `org/policy` does not exist",
        "At most 1 image(s) may be provided in one request",
        "Rate limit reached for requests; retry after 20 s",
    ],
)
def test_the_servers_own_words_stay(sentence):
    assert SENT.hide(sentence) == sentence


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_text_that_the_server_cut_leaves_no_end(cut):
    name = "Quokkawort"
    shown = SENT.hide(f"input_value='{REPORT[:cut]}...{REPORT[cut:]}'").casefold()
    assert [name[n : n + 3] for n in range(8) if name[n : n + 3].casefold() in shown] == []


@given(st.text(min_size=4, max_size=60), st.text(max_size=60))
def test_a_long_word_that_was_sent_is_never_shown(text, around):
    shown = SentTexts.of(text).hide(f"{around} {text} {around}")
    words = [word for word in text.split() if len(word) > 3 and word.isascii() and word.isalpha()]
    from medix_r1.models.reading.sent_texts import _COMMON

    assert [w for w in words if w.lower() not in _COMMON and f" {w} " in shown and w not in around] == []


def test_texts_are_made_only_when_they_are_needed():
    made = []
    sent = SentTexts(lambda: made.append(1) or ["secret"])
    assert made == []
    assert sent.hide("a secret") == "a …"


def test_a_reply_is_quoted_without_passages():
    reply = "Hm, the lung. There is no effusion in the left lung, MRN 7351. The answer is YES"
    assert SENT.hide_quotes(reply) == "Hm, the lung. …, MRN …. The answer is YES"
