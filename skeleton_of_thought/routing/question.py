"""Which part of a message is the question: retrieval pastes documents around it, which a router must not judge.

A label ("Question: ...", in the languages below), a tag (`<question>`), or, in a long message without either, the
one short paragraph at its end or beginning that ends with a question mark. Where nothing of that is sure the whole
message is the question, as in a message without pasted text. Linear in the length of the message.
"""

from __future__ import annotations

import re
from typing import Final

_QUESTION = (
    "question", "query", "user question", "user query", "user input", "original question", "frage", "benutzerfrage",
    "nutzerfrage", "anfrage", "pregunta", "consulta", "pergunta", "domanda", "requête", "vraag", "fråga", "spørgsmål",
    "spørsmål", "kysymys", "pytanie", "otázka", "kérdés", "întrebare", "soru", "вопрос", "питання", "问题", "問題",
    "问", "質問", "질문", "سؤال", "السؤال", "שאלה", "प्रश्न", "सवाल", "câu hỏi", "pertanyaan", "คำถาม",
)  # fmt: skip
_ANSWER = (
    "answer", "helpful answer", "your answer", "response", "assistant", "output", "antwort", "hilfreiche antwort",
    "respuesta", "réponse", "risposta",
    "resposta", "antwoord", "svar", "vastaus", "odpowiedź", "odpověď", "válasz",
    "răspuns", "cevap", "yanıt", "ответ", "відповідь", "答案", "回答", "答", "답변", "الإجابة", "إجابة", "תשובה",
    "उत्तर",
    "trả lời", "jawaban", "คำตอบ",
)  # fmt: skip
_CONTEXT = (
    "context", "retrieved context", "documents", "document", "sources", "source", "passages", "excerpts", "chunks",
    "context information", "relevant context", "kontext", "dokumente", "quellen", "contexto", "documentos", "contexte",
    "sources documentaires", "contesto", "documenti", "kontekst", "sammanhang", "dokumenty", "bağlam", "контекст",
    "документы", "上下文", "语境", "文档", "資料", "文脈", "コンテキスト", "컨텍스트", "문맥", "문서", "السياق", "سياق",
    "הקשר", "संदर्भ", "ngữ cảnh", "konteks", "บริบท",
)  # fmt: skip

LONG: Final = 600
"""Characters from which a message is taken to carry pasted text, if nothing in it says so."""

_SHORT: Final = 400
"""Characters a question found by its place may have."""


def _labels(words: tuple[str, ...], *, standalone: bool = False) -> str:
    names = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    before = r"(?:standalone |the )?" if standalone else ""
    return rf"{before}(?:{names})"


_LABEL = re.compile(
    rf"^[ \t]*[#>*_\[(-]*[ \t]*(?:(?P<question>{_labels(_QUESTION, standalone=True)})|(?P<answer>{_labels(_ANSWER)})"
    rf"|(?P<context>{_labels(_CONTEXT)}))[ \t]*[\])*_]*[ \t]*[:：][*_]*[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_TAG = re.compile(
    r"<(question|query|user_question|user_query|user_input)>(.*?)</\1>", re.IGNORECASE | re.DOTALL
)
_PASTED = re.compile(
    rf"(?:{_labels(_CONTEXT)})|<(?:context|documents?|sources?)\b|^-{{3,}}$", re.IGNORECASE | re.MULTILINE
)
_ASKS = re.compile(r"[?？؟;]['\"”’)\]*_]*\s*$")  # Greek asks with a semicolon


def question_in(text: str) -> str:
    r"""The question in a user's message, or the whole message where no part of it is surely the question.

    Args:
        text: The message, as long as it may be.

    Example:
        >>> question_in("Answer from the context.\n\nContext: Bees dance.\n\nQuestion: Why do bees dance?\nAnswer:")
        'Why do bees dance?'
        >>> question_in("Why do bees dance?")
        'Why do bees dance?'
    """
    text = text.strip()
    if tagged := [match[2].strip() for match in _TAG.finditer(text)]:
        return tagged[-1] or text
    labelled = _labelled(text)
    if labelled == "":
        return text
    return labelled or _by_place(text) or text


def _labelled(text: str) -> str | None:
    """What stands behind the label of the question; empty if that is asked for, None if there is no such label."""
    labels = list(_LABEL.finditer(text))
    found: list[tuple[int, str]] = []
    for place, label in enumerate(labels):
        if label["question"] is None:
            continue
        end = labels[place + 1].start() if place + 1 < len(labels) else len(text)
        found.append((place, _paragraph(text[label.end() : end])))
    if not found:
        return None
    place, question = found[-1]
    if not question:  # "Standalone question:" at the end: to write one is the task
        return ""
    first, earlier = found[0]
    behind = labels[first + 1] if first + 1 < len(labels) else None
    if behind is not None and behind["context"] and not any(label["context"] for label in labels[:first]):
        place, question = (
            first,
            earlier,
        )  # the question, then the documents, which may have questions of their own
    else:
        last = labels[place + 1 :]
        rest = text[last[-1].end() :] if last else ""
        if last and len(rest) > _SHORT:  # it stands in the pasted text, and not behind it
            return None
    around = text[: labels[place].start()], text[labels[place].end() + len(question) :]
    alone = place == 0 and not around[0].strip() and len(labels) == 1
    return question if alone or any(_PASTED.search(part) for part in around) else None


def _paragraph(text: str) -> str:
    """The first paragraph, without rules and quotation marks around it."""
    paragraph = re.split(r"\n[ \t]*(?:\n|[-=_*]{3,}[ \t]*(?:\n|$))", text.strip(), maxsplit=1)[0]
    return paragraph.strip().strip("\"'“”„«»`").strip()


def _by_place(text: str) -> str | None:
    """The short paragraph at the end or the beginning of a long message that is a question."""
    if len(text) < LONG:
        return None
    for paragraph in (text.rpartition("\n\n")[2], text.rpartition("\n")[2], text.partition("\n")[0]):
        candidate = paragraph.strip().strip('"“”').strip()
        if 0 < len(candidate) <= _SHORT and len(candidate) < len(text) / 2 and _ASKS.search(candidate):
            return candidate
    return None
