"""A stand-in for OpenAI's and Anthropic's servers on localhost: no key, no model, no cost, faults on demand.

It speaks both wire formats, whole and streamed, at a given pace; counts tokens and prompt caches as the
providers do; keeps a ledger of every request; answers skeleton and point requests with plausible text; and
fails as asked. Everything can be read and set in the process, and over HTTP: `GET` and `DELETE /ledger`
(`?texts=true` with prompts and answers); `GET`, `POST` and `DELETE /faults`; `DELETE /cache`. In reading order:

server          the server in a thread; connection watches and breaks its connections
application     the endpoints and what they share
wire_openai     one wire format: reading requests, writing answers; wire_anthropic is the other, fields reads the JSON
request         what was asked, whichever format it came in
errors          what a provider refuses, in its words; quotas are its rate limits
answers         what is said when nobody scripts it
planned_answer  the reply, cut to what request and fault allow, and its pace; prompt_cache knows earlier prompts
faults          failures on demand
responding      sends one answer, with its fault
ledger          every request that came
"""

from __future__ import annotations

from skeleton_of_thought.errors import require

for _module in ("starlette", "uvicorn", "httptools"):
    require(_module, extra="serve", needed_for="The fake server")

from skeleton_of_thought.fake_server.answers import FakeReply, PlausibleAnswers, Stage, ToolCall, stage_of  # noqa: E402  # noqa: E402
from skeleton_of_thought.fake_server.application import Provider  # noqa: E402
from skeleton_of_thought.fake_server.faults import Fault, FaultKind, Faults  # noqa: E402
from skeleton_of_thought.fake_server.ledger import Entry, Ledger  # noqa: E402
from skeleton_of_thought.fake_server.planned_answer import Pace  # noqa: E402
from skeleton_of_thought.fake_server.quotas import Quota  # noqa: E402
from skeleton_of_thought.fake_server.request import ChatRequest  # noqa: E402
from skeleton_of_thought.fake_server.server import FakeServer  # noqa: E402

__all__ = [
    "ChatRequest",
    "Entry",
    "FakeReply",
    "FakeServer",
    "Fault",
    "FaultKind",
    "Faults",
    "Ledger",
    "Pace",
    "PlausibleAnswers",
    "Provider",
    "Quota",
    "Stage",
    "ToolCall",
    "stage_of",
]
