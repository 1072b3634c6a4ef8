"""Which part of a message is the question: the prompts people really use, in several languages."""

from __future__ import annotations

import sys

import pytest

from skeleton_of_thought.messages import Message
from skeleton_of_thought.routing import LexicalRouter
from skeleton_of_thought.routing.question import question_in

DOCUMENT = (
    "The garden opened in 1984 and has sixty plots. Write to the committee to get one. Bees live behind the shed, "
    "and a member looks after them. Water is free from April to October. " * 6
)
FAQ = f"Question: Who has the key?\nAnswer: The treasurer.\n\n{DOCUMENT}"
QUESTION = "What are the main benefits of a community garden?"

PROMPTS = {
    "hub rag-prompt": (
        "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer "
        "the question. If you don't know the answer, just say that you don't know. Use three sentences maximum and "
        "keep the answer concise.\nQuestion: {question} \nContext: {context} \nAnswer:"
    ),
    "tutorial": (
        "Use the following pieces of context to answer the question at the end. If you don't know, say so.\n\n"
        "{context}\n\nQuestion: {question}\n\nHelpful Answer:"
    ),
    "only from the context": (
        "Answer the question based only on the following context:\n{context}\n\nQuestion: {question}\n"
    ),
    "context in tags": "Answer from the context.\n<context>\n{context}\n</context>\n\nQuestion: {question}",
    "question in tags": "<documents>{context}</documents>\n<question>\n{question}\n</question>\nAnswer briefly.",
    "markdown": "## Context\n\n{context}\n\n**Question:** {question}",
    "LlamaIndex text_qa": (
        "Context information is below.\n---------------------\n{context}\n---------------------\nGiven the context "
        "information and not prior knowledge, answer the query.\nQuery: {question}\nAnswer: "
    ),
    "question first": "{question}\n\n{context}",
    "question last": "{context}\n\n{question}",
    "last, after a rule": "Here is what I found:\n{context}\n---\n{question}",
    "German": "Beantworte die Frage mit dem Kontext.\n\nKontext:\n{context}\n\nFrage: {question}\nAntwort:",
    "French": "Réponds avec le contexte suivant.\n\nContexte : {context}\n\nQuestion : {question}\nRéponse :",
    "Spanish": "Usa el contexto.\n\nContexto: {context}\n\nPregunta: {question}\nRespuesta:",
    "Russian": "Ответь по контексту.\n\nКонтекст: {context}\n\nВопрос: {question}\nОтвет:",
    "Chinese": "请根据上下文回答。\n\n上下文：{context}\n\n问题：{question}\n回答：",
    "Japanese": "文脈に基づいて答えてください。\n\n文脈：{context}\n\n質問：{question}\n回答：",
    "Arabic": "أجب من السياق.\n\nالسياق: {context}\n\nالسؤال: {question}\nالإجابة:",
}


@pytest.mark.parametrize("context", [DOCUMENT, FAQ], ids=["document", "faq"])
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_the_question_is_found_in_the_prompts_people_use(prompt, context):
    assert question_in(prompt.format(question=QUESTION, context=context)) == QUESTION


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_the_router_judges_the_question_and_not_what_is_pasted(prompt):
    router = LexicalRouter()
    for question in (QUESTION, "When was the garden founded?"):
        alone = router.probability([Message("user", question)])
        text = prompt.format(question=question, context=DOCUMENT)
        assert router.probability([Message("user", text)]) == pytest.approx(alone)


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        "Write a quiz about bees. Example:\nQuestion: What do bees eat?\nAnswer: Nectar.",
        f"Summarize the following text.\n\n{DOCUMENT}",
        f"{DOCUMENT}\n\nTranslate this into French.",
        "Fix this code:\n```\n" + "x = 1\n" * 200 + "```",
        f"Chat history:\nHuman: Hello\nFollow up input: {QUESTION}\nStandalone question:",
        "",
        "  \n ",
    ],
    ids=["short", "quiz", "summary", "translation", "code", "condense", "empty", "blank"],
)
def test_where_nothing_is_sure_the_message_is_the_question(text):
    assert question_in(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "question:" * 5,
        "Question: " * 4,
        "<question>",
        "Context:\nQuestion: a\n",
        "-" * 9 + "\n",
        "\n\n",
        "? ",
    ],
)
def test_the_work_grows_with_the_length_and_not_its_square(text):
    """Counted in calls that regular expressions and text methods make: none of ours loops over lines again."""

    def work(times):
        calls = 0

        def count(*_):
            nonlocal calls
            calls += 1

        sys.setprofile(count)
        try:
            question_in(text * times)
        finally:
            sys.setprofile(None)
        return calls

    assert work(4000) <= 4 * work(1000) + 50
