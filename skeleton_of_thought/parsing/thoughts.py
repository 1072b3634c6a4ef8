r"""What a model writes and does not mean for the reader: thoughts, wrappers, control tokens, the next turn.

One set of rules for every text: skeletons, openings, points and direct answers, whole or while they are written.

*Thoughts* stand between tags (`<think>`, `<thinking>`, `<reasoning>`, `[THINK]`, `◁think▷`, `<|begin_of_thought|>`,
`<|START_THINKING|>`), in a channel (`<|channel|>analysis<|message|>`, also with its tokens removed:
`analysis…assistantfinal`), or between phrases (`Thinking…` to `...done thinking.`). One that is never closed reaches
to the end. One that was opened in the prompt, as the chat templates of reasoning models do, has a closing tag only:
what stands before that tag was no answer.

*Wrappers* (`<answer>…</answer>`) are taken off; what stands around them is talk. *Control tokens* are dropped, and
what follows the end of the turn is not the model's to say.

None of this holds in code, between backticks or in a fence, nor in the middle of a sentence: "what the <think> tag
does" stays as it is.
"""

from __future__ import annotations

import re
from itertools import product

_NAMES = (
    r"(?:[a-z]{1,12}:)?(?:think|thinking|thoughts?|thought[_-]process|inner[_-]?monologue|reasoning|reflection"
    r"|analysis|scratchpad|antthinking|cot)"
)
_WRAPPERS = r"(?:answer|final[_-]?answer|final|output|response|solution|skeleton|outline)"
_CHANNEL = r"<\|channel\|>(?P<channel>[^<\n]{0,60})(?:<\|constrain\|>\w{1,20})?<\|message\|>"
_CLOSE = (
    rf"(?P<close></{_NAMES}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|inner_suffix\|>"
    r"|<\|/think(?:ing)?\|>|<channel\|>|<unused95>)"
)
_WRAP = rf"(?P<wrap><(?P<wrapper>{_WRAPPERS})>|<\|begin_of_solution\|>|<\|START_RESPONSE\|>|<\|im_start\|>answer\b)"
_MARK = re.compile(
    r"(?P<fence>`{3,100}|~{3,100})(?P<info>[^\n`]{0,30}(?=\n))?|(?P<code>`{1,2})|(?:"
    rf"(?P<open><{_NAMES}(?:\s[^<>\n]{{0,60}})?>|<details type=\"reasoning\"[^<>\n]{{0,60}}>|\[THINK\]|◁think▷"
    r"|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|inner_prefix\|>|<\|think(?:ing)?\|>|<\|channel>thought|<unused94>(?:thought\b)?"
    r"|<\|im_start\|>think\b)"
    rf"|{_CLOSE}|{_CHANNEL}|{_WRAP}"
    rf"|(?P<unwrap></(?:{_WRAPPERS})>|<\|end_of_solution\|>|<\|END_RESPONSE\|>)"
    r"|(?P<end><\|(?:im_end|eot_id|eom_id|end|endoftext|end_of_text|return)\|>|</s>|<eos>|<end_of_turn>"
    r"|<｜end▁of▁sentence｜>)"
    r"|(?P<role><\|(?:im_start|start)\|>\w{0,20}|<start_of_turn>\w{0,20}"
    r"|<\|start_header_id\|>\w{1,20}<\|end_header_id\|>|<｜(?:User|Assistant)｜>|\[INST\])"
    r"|(?P<control><\|[\w/]{1,40}\|>|<｜[\w▁]{1,40}｜>|<s>|<bos>|\[/INST\])"
    r")[ \t]{0,8}",
    re.IGNORECASE,
)
_END_OF_THOUGHT = re.compile(
    rf"(?:{_CLOSE}|{_CHANNEL}|{_WRAP}|(?P<details></details>)|(?P<end><\|end\|>)|(?P<said>assistantfinal)"
    r"|(?P<phrase>\.\.\.done thinking\.|here(?: is|'s|’s) my response:))[ \t]{0,8}",
    re.IGNORECASE,
)
_PARTIAL = re.compile(
    r"<(?:[/\w|｜][^<>\n]{0,100})?$|\[/?[a-z]{0,5}$|◁[/a-z]{0,6}$|(?:`{1,100}|~{1,100})[^\n`]{0,30}$"
    r"|<\|channel>[a-z]{0,6}$|<\|(?:channel|start_header_id)\|>(?:(?!<\|message\|>|<\|end_header_id\|>)[^\n]){0,120}$",
    re.IGNORECASE,
)
_LONGEST_MARK = 200
_MAY_HOLD_MARK = re.compile(r"[<\[◁]")
_LIST_MARKER = re.compile(r"\s{0,20}(?:\d{1,3}[.)]|[-*+•])\s{0,4}")
_LONGEST_MARKER = 32
_TALK_MARKS = ".!?…:;>)。！？："
_LOOSE_TALK_MARKS = "*_\"'”’-]|»"
_OUTER_FENCES = {"", "markdown", "md", "text", "txt", "plaintext"}

_THINKS_ALOUD = (
    *map(
        "".join,
        product(
            ("", "okay, ", "okay so ", "okay, so ", "ok, ", "ok, so ", "alright, ", "alright, so ", "hmm, ", "so "),
            ("the user ", "let me think", "let me plan", "let me see", "let me figure", "let me recall",
             "i need to write ", "i need to answer ", "i should write ", "i should answer ",
             "we need to write ", "we need to answer ", "we need to produce ", "we need to respond "),
        ),
    ),
    "okay, i need to ", "okay, so i need to ", "alright, i need to ", "so, the user ",
    "here is my thought process:", "here's my thought process:",
)  # fmt: skip
"""Words with which a model begins to think, and hardly an answer: a closing tag may follow."""
_LONGEST_START = max(map(len, _THINKS_ALOUD))
_STATED = (("thinking...\n", "tag"), ("thinking...\r\n", "tag"))
_CHANNEL_WORD = "analysis"


class ThoughtFilter:
    """Lets through what a model writes for the reader, while it writes it.

    Text is let through as soon as it is certain, with one exception: a closing tag whose opening was never written
    says that everything before was a thought. Then `restarts` grows, and what `feed` has returned until then is to be
    forgotten, as far as nobody has read it. What has been returned since the last restart, joined, is the same
    however the text was cut into pieces. The time is linear in the length.

    Args:
        inside: Whether the thought has begun in the prompt (see `unopened`): nothing is let through before it is
            closed. If it is never closed, it was none, and `finish` returns all of it.

    Attributes:
        restarts: How often what had been returned turned out to be a thought.
        unopened: Whether this text began inside a thought. A model whose chat template opens the thought writes all
            its texts so: tell the next filter, then it need not take anything back.

    Example:
        >>> text = ThoughtFilter()
        >>> text.feed("<thi"), text.feed("nk>Sleep, of course.</think>"), text.feed("Go to bed early."), text.finish()
        ('', '', 'Go to bed early.', '')
    """

    def __init__(self, *, inside: bool = False) -> None:
        self.restarts = 0
        self.unopened = False
        self._thought = (
            "aloud" if inside else ""
        )  # what kind of thought this is; "aloud" may turn out to be none
        self._aloud: list[str] = []
        self._may_think_aloud = not inside
        self._pending = ""
        self._out: list[str] = []
        self._has_text = False
        self._removed = False  # since the last text
        self._doubted = False  # a thought ended that had not begun
        self._space, self._ends_in_space = "", True
        self._wrapped = ""  # "open", or "closed": the answer is complete
        self._ended = False
        self._struck = False
        self._line, self._last = "", ""  # how the line begins, its last character that is no blank
        self._line_is_empty, self._is_adjacent = (
            True,
            False,
        )  # but for blanks; whether that character is its last
        self._code, self._fence = 0, ""  # how many backticks opened a span; what opened a fence

    def feed(self, delta: str) -> str:
        """Take the next piece of what the model wrote; returns the text that is certain now."""
        self._pending += delta
        return self._advance(final=False)

    def finish(self) -> str:
        """The model has stopped; returns the rest of the text."""
        text = self._advance(final=True)
        if self._thought == "aloud":
            self._pending, self._aloud = "".join(self._aloud), []
            self._thought, self._may_think_aloud = "", False
            self._forget_line()
            text += self._advance(final=True)
        return text if self._removed else text + self._space

    def _advance(self, *, final: bool) -> str:
        self._out = []
        if self._may_think_aloud and not self._past_first_words(final=final):
            return ""
        text, place = self._pending, 0
        while True:
            pattern = _END_OF_THOUGHT if self._thought else _MARK
            mark = pattern.search(text, place)
            closed = mark is not None and bool(mark["close"]) and mark.end() < len(text)
            if mark is None or (
                mark.end() > len(text) - _LONGEST_MARK and not closed
            ):  # more may change what it is
                certain = len(text) if final else self._certain(text, place)
                if mark is not None and mark.end() == len(text) and not final:
                    certain = min(certain, mark.start())
                if mark is None or mark.start() >= certain:
                    self._take(text[place:certain])
                    self._pending = text[certain:]
                    return "".join(self._out)
            self._take(text[place : mark.start()])
            was_removed, self._removed = self._removed, False
            if self._thought:
                self._end_thought(mark)
            else:
                self._read(mark, text[mark.end() : mark.end() + 1])
            if self._removed:
                self._space = self._space if self._has_text else ""
                self._space += mark[0][len(mark[0].rstrip(" \t")) :]
            self._removed = self._removed or was_removed
            place = mark.end()

    def _certain(self, text: str, place: int) -> int:
        """How far the text holds no beginning of a mark."""
        tail = max(place, len(text) - _LONGEST_MARK)
        if self._thought:
            return tail
        partial = _PARTIAL.search(text, tail)
        return partial.start() if partial else len(text)

    def _past_first_words(self, *, final: bool) -> bool:
        """Recognise a thought that begins with words; whether enough of them is there."""
        text = self._pending.lstrip()
        words = text[: _LONGEST_START + 1].lower().replace("’", "'")
        kind = next((kind for phrase, kind in _STATED if words.startswith(phrase)), "")
        if words.startswith(_CHANNEL_WORD) and text[len(_CHANNEL_WORD) :][:1].isupper():
            kind = "channel"
        elif words.startswith(_THINKS_ALOUD):
            kind = "aloud"
        if not kind and not final:
            phrases = (*_THINKS_ALOUD, *(phrase for phrase, _ in _STATED), _CHANNEL_WORD)
            if any(phrase.startswith(words) for phrase in phrases):
                return False
        self._may_think_aloud = False
        if kind:
            self._thought = kind
            self._removed = True
        return True

    def _end_thought(self, mark: re.Match[str]) -> None:
        """Leave the thought if this mark ends it."""
        kind = self._thought
        if mark["wrap"] or mark["phrase"]:
            ends = self._line_is_empty
        elif mark["details"]:
            ends = kind == "details"
        elif mark["end"]:
            ends = kind == "channel"
        elif mark["channel"] is not None:
            ends = mark["channel"].strip().startswith("final")
        else:
            ends = True
        if not ends:
            self._take(mark[0])
            return
        if kind == "aloud":
            self.unopened = not mark["phrase"]
            self._aloud = []
        self._thought, self._removed = "", True
        self._forget_line()
        if mark["wrap"]:
            self._wrapped, self._ended = "open", False

    def _read(self, mark: re.Match[str], following: str) -> None:
        """A mark in text: what it says of the text around it, or that it is text itself."""
        if mark["fence"] and (self._fence or self._line_is_empty):
            self._read_fence(mark)
        elif mark["fence"] or mark["code"]:
            run = len(mark["fence"] or mark["code"])
            self._take(mark[0])
            if not self._fence and mark[0][0] == "`":
                self._code = 0 if self._code == run else self._code or run
        elif self._fence or self._code or not self._is_mark(mark, following):
            self._take(mark[0])

    def _read_fence(self, mark: re.Match[str]) -> None:
        fence, info = mark["fence"], (mark["info"] or "").strip()
        outer = not self._has_text and info.lower() in _OUTER_FENCES  # the whole answer stands in it
        self._take(mark[0])
        if not self._fence:
            self._fence = "" if outer else fence
        elif fence[0] == self._fence[0] and len(fence) >= len(self._fence) and not info:
            self._fence = ""

    def _is_mark(self, mark: re.Match[str], following: str) -> bool:  # noqa: PLR0911 - one case per mark
        """Take a mark for what it is; false if the text only speaks of it."""
        ends_line = following in {"", "\n", "\r"}
        if mark["open"] or mark["channel"] is not None:
            if mark["open"] and not self._is_between_sentences:
                return False
            self._removed = True
            if mark["channel"] is None or not mark["channel"].strip().startswith("final"):
                self._thought = (
                    "channel" if mark["channel"] is not None else "details" if "details" in mark[0] else "tag"
                )
                self._forget_line()
            return True
        if mark["close"]:
            if not (ends_line or self._is_between_sentences):
                return False
            self._removed = self._doubted = True
            self._ended, self._wrapped = False, ""
            return True
        if mark["wrap"]:
            return self._is_wrapper(mark)
        if mark["unwrap"]:
            return self._is_end_of_wrapper(ends_line=ends_line)
        return self._is_control(mark, ends_line=ends_line or (following == "<" and mark[0][-1] in ">])"))

    def _is_wrapper(self, mark: re.Match[str]) -> bool:
        if self._has_text and self._wrapped != "closed":
            says_answer = (mark["wrapper"] or "answer").lower().startswith(("answer", "final"))
            if not (says_answer and self._line_is_empty):
                return False
        self._doubted = self._doubted or self._has_text
        self._wrapped, self._removed, self._ended = "open", True, False
        return True

    def _is_end_of_wrapper(self, *, ends_line: bool) -> bool:
        if self._wrapped == "open":
            self._wrapped = "closed" if self._has_text and not self._doubted else ""
        elif not (self._line_is_empty or ends_line):
            return False
        self._removed = True
        return True

    def _is_control(self, mark: re.Match[str], *, ends_line: bool) -> bool:
        control = mark[0].strip().lower()
        if control == "<s>" and self._has_text:
            self._struck = True  # HTML: struck out
            return False
        if control == "</s>" and self._struck:
            self._struck = False
            return False
        stands_alone = self._is_between_sentences or ends_line or (self._is_adjacent and control[0] != "[")
        if self._has_text and not stands_alone:
            return False  # "the <|im_end|> token"
        others_turn = mark["role"] and not control.removesuffix("<|end_header_id|>").rstrip("｜").endswith(
            ("assistant", "model", "answer", "|>", "_turn>")
        )
        if (mark["end"] or others_turn) and self._has_text and not self._doubted:
            self._ended = True
        self._removed = True
        return True

    @property
    def _is_between_sentences(self) -> bool:
        """Whether what comes now is not in the middle of a sentence, nor the first word of a list's line."""
        if self._line_is_empty:
            return True
        if _LIST_MARKER.fullmatch(self._line):
            return False
        if self._last in _TALK_MARKS:
            return True
        return self._last in _LOOSE_TALK_MARKS and not self._is_adjacent

    def _forget_line(self) -> None:
        self._line, self._line_is_empty, self._is_adjacent, self._last = "", True, False, ""
        self._code, self._fence = 0, ""

    def _take(self, text: str) -> None:
        """Text, of the thought or of the answer."""
        if not text:
            return
        _, newline, line = text.rpartition("\n")
        if newline:
            self._line, self._line_is_empty, self._code = "", True, 0
        words = line.rstrip(" \t\r")
        self._line += line[: _LONGEST_MARKER - len(self._line)] if len(self._line) < _LONGEST_MARKER else ""
        if words:
            self._line_is_empty, self._last = False, words[-1]
        if line or newline:
            self._is_adjacent = bool(line) and len(words) == len(line)
        if self._thought == "aloud":
            self._aloud.append(text)
        elif not self._thought and not self._ended and self._wrapped != "closed":
            self._show(text)

    def _show(self, text: str) -> None:
        """Text of the answer, closed up where something was taken out."""
        if not self._removed and self._has_text:
            self._put(text)
            return
        words = text.lstrip()
        self._space += text[: len(text) - len(words)]
        if not words:
            return
        space, self._space = self._space, ""
        if not self._removed:
            self._put(space + words)
            return
        self._removed = False
        if self._doubted:
            self._doubted, self._has_text = False, False
            self.restarts += 1
            self.unopened = True
            self._out = []
        is_open = not self._has_text or self._ends_in_space
        if is_open:
            space = space.rpartition("\n")[2] if "\n" in space else ""
        self._put((space or ("" if is_open else "\n")) + words)

    def _put(self, text: str) -> None:
        self._out.append(text)
        self._ends_in_space = text[-1].isspace()
        self._has_text = self._has_text or not text.isspace()


def without_thoughts(text: str) -> str:
    """What a model wrote for the reader, of a whole text; see `ThoughtFilter`."""
    thoughts = ThoughtFilter()
    shown = thoughts.feed(text)
    restarts = thoughts.restarts
    rest = thoughts.finish()
    return rest if thoughts.restarts > restarts else shown + rest


def without_marks(title: str) -> str:
    """A title without the marks that would be read as more than words in a list of titles."""
    line = f"1. {title}"
    if not _MAY_HOLD_MARK.search(title) or without_thoughts(line) == line:
        return title
    plain = " ".join(_MARK.sub(" ", title).split())
    return plain if without_thoughts(f"1. {plain}") == f"1. {plain}" else _MAY_HOLD_MARK.sub("", plain)
