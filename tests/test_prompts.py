from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeleton_of_thought import (
    PROMPTS,
    ConfigurationError,
    Message,
    Point,
    Prompts,
    Skeleton,
    SkeletonOfThought,
    get_prompts,
    load_prompts,
)
from skeleton_of_thought.prompts import family_for

QUESTION = "How do I sleep better?"
SKELETON = Skeleton(
    (Point(1, "Dark room"), Point(2, "No coffee"), Point(3, "{request}"), Point(4, "{point}"))
)
CONVERSATION = [
    Message("system", "Be brief."),
    Message("user", "Hello"),
    Message("assistant", "Hi! What can I do?"),
    Message("user", QUESTION),
]
CLASSIC = sorted(name for name, prompts in PROMPTS.items() if isinstance(prompts, Prompts))
FAMILIES = pytest.mark.parametrize("name", CLASSIC)

# A file as somebody would write it for their own model, in the paper's format.
FILE = {
    "outline_prompt": "Q: {request}\nNumbered headings only, please.[ROLESWITCHING assistant:]1.",
    "point_prompt": "Q: {request}\nHeadings:\n{outline}\nWrite up heading {point}, short."
    "[ROLESWITCHING assistant:]{point}. {point_outline}",
}


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "prompts.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


def wire(messages):
    """A request as a provider with a prefix cache sees it: one text."""
    return "".join(f"<{message.role}>{message.content}" for message in messages)


def shared_prefix(texts):
    first, last = min(texts), max(texts)
    same = next(
        (place for place, pair in enumerate(zip(first, last, strict=False)) if len(set(pair)) > 1), len(first)
    )
    return first[:same]


# What all requests of a question share comes first, byte for byte.


@FAMILIES
def test_point_requests_differ_only_behind_the_question_and_the_skeleton(name):
    requests = [wire(PROMPTS[name].point_messages(CONVERSATION, SKELETON, point)) for point in SKELETON]
    prefix = shared_prefix(requests)
    assert QUESTION in prefix
    assert SKELETON.as_text() in prefix
    assert prefix.rindex(QUESTION) < prefix.rindex(SKELETON.as_text())
    assert len(set(requests)) == len(SKELETON)


@FAMILIES
def test_point_requests_continue_the_skeleton_request(name):
    prompts = PROMPTS[name]
    assert prompts.continues
    asked = prompts.skeleton_messages(CONVERSATION)
    if prompts.skeleton_start:
        assert asked[-1] == Message("assistant", prompts.skeleton_start)
        asked = asked[:-1]
    for point in SKELETON:
        messages = prompts.point_messages(CONVERSATION, SKELETON, point)
        assert wire(messages).startswith(wire(asked))
        assert messages[: len(asked)] == asked
        assert messages[len(asked)] == Message("assistant", SKELETON.as_text())


def test_without_continuing_the_point_template_stands_in_the_questions_place(file):
    prompts = load_prompts(file(FILE))
    requests = [prompts.point_messages(CONVERSATION, SKELETON, point) for point in SKELETON]
    assert all(len(messages) == len(CONVERSATION) + 1 for messages in requests)
    assert QUESTION in shared_prefix([wire(messages) for messages in requests])
    assert SKELETON.as_text() in shared_prefix([wire(messages) for messages in requests])


# The conversation around the question.


@FAMILIES
def test_system_first_then_examples_then_history_then_the_question(name):
    prompts = PROMPTS[name]
    messages = prompts.skeleton_messages(CONVERSATION)
    examples = len(prompts.examples)
    assert messages[0] == CONVERSATION[0]
    assert messages[1 : 1 + examples] == prompts.examples
    assert messages[1 + examples : 3 + examples] == tuple(CONVERSATION[1:3]), "the history is untouched"
    assert QUESTION in messages[3 + examples].text
    for point in SKELETON:
        asked = prompts.point_messages(CONVERSATION, SKELETON, point)
        assert asked[: 3 + examples] == messages[: 3 + examples]


@FAMILIES
def test_examples_are_whole_exchanges(name):
    roles = [message.role for message in PROMPTS[name].examples]
    assert roles == ["user", "assistant"] * (len(roles) // 2)


@FAMILIES
def test_roles_alternate_so_that_every_provider_takes_them(name):
    prompts = PROMPTS[name]
    for messages in (
        prompts.skeleton_messages(CONVERSATION),
        prompts.point_messages(CONVERSATION, SKELETON, SKELETON[0]),
    ):
        roles = [message.role for message in messages if message.role != "system"]
        assert roles == (["user", "assistant"] * len(roles))[: len(roles)]


@pytest.mark.parametrize("continues", [True, False])
def test_blocks_that_are_not_text_survive(continues):
    image = {"type": "image_url", "image_url": {"url": "data:,"}}
    cached = {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}}
    original = object()
    messages = [Message("user", [image, cached, "And that?"], original=original)]
    prompts = Prompts(skeleton="S|{request}", point="P|{request}|{point}", continues=continues)
    (asked,) = prompts.skeleton_messages(messages)
    assert asked.content == [
        image,
        {"type": "text", "text": "S|What is this?And that?", "cache_control": {"type": "ephemeral"}},
    ]
    assert asked.original is original
    point = prompts.point_messages(messages, SKELETON, SKELETON[1])
    assert image in point[0].content
    assert messages[0].content == [image, cached, "And that?"], "the caller's message is not touched"


def test_an_image_without_words_is_templated_too():
    image = {"type": "image", "source": {}}
    (asked,) = Prompts(skeleton="S|{request}", point="{point}").skeleton_messages([Message("user", [image])])
    assert asked.content == [image, {"type": "text", "text": "S|"}]


# Templates.


@given(st.text())
def test_braces_in_a_question_mean_nothing(question):
    question += "{point} {request} {0} {{x}} }{"
    prompts = Prompts(skeleton="<{request}>", point="{point}|{request}|{point_outline}|{outline}|{other}")
    messages = [Message("user", question)]
    assert prompts.skeleton_messages(messages)[-1].text == f"<{question}>"
    point = SKELETON[3]
    asked = prompts.point_messages(messages, SKELETON, point)
    assert asked[-1].text == f"4|{question}|{{point}}|{SKELETON.as_text()}|{{other}}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skeleton": "List.", "point": "{point}"}, r"no \{request\}.*'List\.'"),
        ({"skeleton": "{request}", "point": "Write."}, r"neither \{point\} nor \{point_outline\}.*'Write\.'"),
        ({"skeleton": "{request}", "point": "{point}", "continues": False}, r"no \{request\}.*'\{point\}'"),
    ],
)
def test_a_template_without_what_it_needs_is_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        Prompts(**options)


# Files in the format of the paper's code.


def test_a_file_with_the_mark(file):
    prompts = load_prompts(file(FILE))
    outline = prompts.skeleton_messages(CONVERSATION)
    assert [message.role for message in outline[-2:]] == ["user", "assistant"]
    assert outline[-2].text == f"Q: {QUESTION}\nNumbered headings only, please."
    assert outline[-1].text == "1."
    point = prompts.point_messages(CONVERSATION, SKELETON, SKELETON[1])
    assert point[-2].text == f"Q: {QUESTION}\nHeadings:\n{SKELETON.as_text()}\nWrite up heading 2, short."
    assert point[-1].text == "2. No coffee"


def test_a_file_without_the_mark(file):
    plain = {key: text.partition("[ROLES")[0] for key, text in FILE.items()}
    prompts = load_prompts(str(file(plain)))
    assert [message.role for message in prompts.skeleton_messages(CONVERSATION)[-2:]] == ["assistant", "user"]
    assert prompts.point_messages(CONVERSATION, SKELETON, SKELETON[1])[-1].role == "user"


def test_a_file_answers_a_question(file):
    run = SkeletonOfThought(CONVERSATION, load_prompts(file(FILE)))
    run.start()
    points = run.done("skeleton", " Dark room\n2. No coffee")
    for request in points:
        run.done(request.id, f": Text {request.id}.")
    assert run.answer.text == "1. Dark room: Text point:1.\n\n2. No coffee: Text point:2."


def test_braces_of_a_file_that_are_no_fields_stay(file):
    prompts = load_prompts(file({**FILE, "outline_prompt": 'As {"points": []} for {request}'}))
    assert prompts.skeleton_messages(CONVERSATION)[-1].text == f'As {{"points": []}} for {QUESTION}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must hold an object, not list"),
        ({"outline_prompt": "{request}"}, "no text under 'point_prompt'"),
        ({**FILE, "outline_prompt": 3}, "no text under 'outline_prompt'"),
        (
            {**FILE, "point_prompt": "{request} {points}"},
            r"uses \{points\}; the fields there are .*\{point_outline\}",
        ),
        (
            {**FILE, "outline_prompt": "{request} {outline}"},
            r"uses \{outline\}; the fields there are \{request\}",
        ),
        ({**FILE, "outline_prompt": "List."}, r"no \{request\}"),
        ({**FILE, "point_prompt": "{request}"}, "all points would be the same"),
        ({**FILE, "point_prompt": "{point} {outline}"}, r"no \{request\}"),
    ],
)
def test_a_bad_file_is_refused_with_its_name(file, content, message):
    path = file(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_prompts(path)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path):
    with pytest.raises(ConfigurationError, match=r"Cannot read the prompts file .*none.json.*No such file"):
        load_prompts(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        load_prompts(tmp_path)
    latin = tmp_path / "latin.json"
    latin.write_bytes(b'{"outline_prompt": "\xe9"}')
    with pytest.raises(ConfigurationError, match="is not JSON"):
        load_prompts(latin)


def test_get_prompts_takes_a_name_a_file_or_the_object(file):
    assert get_prompts("partial") is PROMPTS["partial"]
    assert get_prompts(PROMPTS["partial"]) is PROMPTS["partial"]
    path = file(FILE)
    assert get_prompts(path) == get_prompts(str(path)) == load_prompts(path)
    with pytest.raises(
        ConfigurationError, match=r"no prompts named 'partail'.*instruction, .*partial-examples"
    ):
        get_prompts("partail")


OPENING = PROMPTS["opening"]
PLAN = (Point(1, "Light", "dark room", "2 sentences"), Point(2, "Advice", "one change", after=(1,)))


def test_an_opening_request_keeps_the_conversation_and_asks_once():
    messages = OPENING.opening_messages(CONVERSATION)
    assert messages[:-1] == tuple(CONVERSATION[:-1])
    assert messages[-1].text.startswith(QUESTION)
    assert "{" not in messages[-1].text


def test_a_part_is_asked_for_behind_the_plan():
    first = OPENING.part_messages(CONVERSATION, "By habit.", PLAN, PLAN[0])
    second = OPENING.part_messages(CONVERSATION, "By habit.", PLAN, PLAN[1], parents=[("Light", "Curtains.")])
    assert first[:-1] == second[:-1] == (*OPENING.opening_messages(CONVERSATION), first[-2])
    assert first[-2].text == (
        "By habit.\n\nOUTLINE\n1. Light | dark room | 2 sentences\n2. Advice | one change | after 1"
    )
    assert '"Light"' in first[-1].text
    assert "dark room" in first[-1].text
    assert "2 sentences" in first[-1].text
    assert "Light\nCurtains." in second[-1].text


def test_a_part_is_shown_all_titles_and_the_notes_that_are_known():
    messages = OPENING.part_messages(
        CONVERSATION, "Yes.", PLAN[:1], PLAN[0], titles=["Light", "Advice", "light"]
    )
    assert messages[-2].text == "Yes.\n\nOUTLINE\n1. Light\n2. Advice\n1 | dark room | 2 sentences"


@pytest.mark.parametrize(
    ("field", "template"), [("opening", "Plan it."), ("part", "Write it."), ("parents", "Written:")]
)
def test_an_opening_template_without_its_field_is_refused(field, template):
    with pytest.raises(ConfigurationError, match="template has n"):
        replace(OPENING, **{field: template})


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        ("openai-chat", "opening"),
        ("azure-openai-chat", "opening"),
        ("anthropic-chat", "opening"),
        ("chat-google-generative-ai", "opening"),
        ("OpenAI_LLM", "opening"),
        ("ollama", "instruction"),
        ("chat-ollama", "instruction"),
        ("fake-list-chat-model", "instruction"),
        ("", "instruction"),
    ],
)
def test_which_model_gets_what_is_one_table(kind, family):
    assert family_for(kind) == family
    assert family_for(kind, local=True) == "partial-examples"
