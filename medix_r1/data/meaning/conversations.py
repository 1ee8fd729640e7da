"""Rows that are conversations: LLaVA and ShareGPT (`from`, `value`), OpenAI, TRL and verl (`role`, `content`).

A question and its answer are one row. With several turns, a row says nothing of what came before, so that is a setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from medix_r1.data.meaning.text import as_text, is_missing, literal_in_text, shown
from medix_r1.data.row import IMAGE_MARK, Reason, RowRejected

Turns = Literal["reject", "first", "each", "last"]
System = Literal["reject", "drop", "prepend"]
TURNS, SYSTEM = get_args(Turns), get_args(System)
_ROLES = {
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt", "bard"), "assistant"),
    "system": "system",
}
_SPEAKERS = ("User", "Assistant")
_PICTURE_KINDS = ("image", "image_url", "input_image")


@dataclass(frozen=True, slots=True)
class Message:
    """One message: who says it, its text with a mark for each picture inside, and these pictures."""

    role: str
    text: str
    pictures: tuple[Any, ...] = ()


def unfold(fields: Mapping[str, Any], turns: Turns, system: System) -> list[dict[str, Any]]:
    """The rows of a record: one, or with `turns=each` one for each question of its conversation.

    Raises:
        RowRejected: the conversation is not of a known form, has several turns or a system message, and neither was
            allowed by a setting.
    """
    own = {key: value for key, value in fields.items() if key != "conversation"}
    told = _messages(fields.get("conversation"))
    if told is None:
        asked, answered = _messages(own.get("question")), _messages(own.get("answer"))
        if asked is None and answered is None:
            return [own]
        if asked is None:
            asked = [Message("user", as_text("question", own.get("question")))]
        if answered is None:
            answer = own.get("answer")
            answered = [Message("assistant", "" if is_missing(answer) else as_text("answer", answer))]
        told = [*asked, *answered]
    told, before = _without_system(told, system)
    pairs = _pairs(told)
    if len(pairs) > 1 and turns == "reject":
        says = f"a conversation of {len(pairs)} turns; set data.turns to first, to each for a row each, or to last"
        raise RowRejected(Reason.WRONG_TYPE, says)
    if turns == "last":
        pairs = [_with_all_before(pairs)]
    chosen = pairs[:1] if turns == "first" else pairs
    pictures = [picture for message in told for picture in message.pictures]
    return [_row(own, before, question, answer, pictures, alone=len(pairs) == 1) for question, answer in chosen]


def _with_all_before(pairs: Sequence[tuple[Message, Message]]) -> tuple[Message, Message]:
    """The last pair, its question after all that was said before; each speaker is named."""
    (*before, (asked, answered)) = pairs
    if not before:
        return asked, answered
    said = [f"{name}: {one.text.strip()}" for pair in before for name, one in zip(_SPEAKERS, pair, strict=True)]
    return Message("user", "\n\n".join([*said, f"{_SPEAKERS[0]}: {asked.text.strip()}"])), answered


def _row(
    own: Mapping[str, Any],
    before: str,
    question: Message,
    answer: Message,
    pictures: Sequence[Any],
    *,
    alone: bool,
) -> dict[str, Any]:
    text = before + question.text
    if not alone:  # a mark stands in one turn only, and the picture belongs to all
        text = text.replace(IMAGE_MARK, " ").strip()
    row = {**own, "question": text, "answer": answer.text}
    if pictures:
        if not is_missing(own.get("images")):
            raise RowRejected(Reason.WRONG_TYPE, "pictures inside the messages and in a column of their own")
        row["images"] = list(pictures)
    return row


def _messages(value: Any) -> list[Message] | None:
    """The messages of a cell; None if it is something else."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        value = literal_in_text(value.strip())
    if not isinstance(value, list) or not value or not all(isinstance(item, Mapping) for item in value):
        return None
    return [_message(item) for item in value]


def _message(item: Mapping[str, Any]) -> Message:
    speaker = item.get("role", item.get("from"))
    content = item.get("content", item.get("value"))
    role = _ROLES.get(str(speaker).strip().lower())
    if role is None:
        raise RowRejected(Reason.WRONG_TYPE, f"a message of {shown(speaker)}; known are user, assistant and system")
    if not isinstance(content, list):
        return Message(role, "" if is_missing(content) else as_text("a message", content))
    texts: list[str] = []
    pictures: list[Any] = []
    for part in content:
        kind = str(part.get("type")) if isinstance(part, Mapping) else "text"
        if kind == "text" or kind == "input_text":
            texts.append(as_text("a message", part.get("text") if isinstance(part, Mapping) else part))
        elif kind in _PICTURE_KINDS:
            texts.append(IMAGE_MARK)
            inside = {key: value for key, value in part.items() if key != "type" and not is_missing(value)}
            pictures += [inside] if inside else []  # without any, the pictures are in a column
        else:
            raise RowRejected(Reason.WRONG_TYPE, f"a message with a part of type {shown(kind)}")
    return Message(role, "".join(texts), tuple(pictures))


def _without_system(told: Sequence[Message], system: System) -> tuple[list[Message], str]:
    said = [message.text.strip() for message in told if message.role == "system" and message.text.strip()]
    rest = [message for message in told if message.role != "system"]
    if said and system == "reject":
        raise RowRejected(
            Reason.WRONG_TYPE,
            f"a system message ({shown(said[0])}), for which training has no place; set data.system to drop or prepend",
        )
    return rest, "".join(f"{text}\n\n" for text in said) if system == "prepend" else ""


def _pairs(told: Sequence[Message]) -> list[tuple[Message, Message]]:
    roles = [message.role for message in told]
    if len(told) < 2 or len(told) % 2 or roles != ["user", "assistant"] * (len(told) // 2):
        raise RowRejected(
            Reason.WRONG_TYPE,
            f"a conversation of {', '.join(roles) or 'nobody'}; wanted are a question, then its answer",
        )
    return list(zip(told[::2], told[1::2], strict=True))
