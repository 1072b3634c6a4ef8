"""What each inference engine needs for Skeleton-of-Thought: one table, for `sot doctor` and the documentation.

Engines change faster than this file. Every entry says where it is from and whether anybody here tried it; `sot doctor`
asks the server itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

Tried = Literal["tried", "untried"]
"""Whether somebody here ran it, or it is only read in the engine's code, documentation or issues."""

Continues = Literal["fields", "prefill", "no"]
"""How a partial answer is continued: with fields of the request, because it comes last, or not at all."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing to know of an engine.

    Attributes:
        text: What is so.
        source: Where it is from: a file of the engine, an issue, or a run here.
        tried: Whether it was tried here.
    """

    text: str
    source: str
    tried: Tried = "untried"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineProfile:
    """An inference engine, or what stands in front of one.

    Attributes:
        name: Its name.
        start: How to start it so that points really run at once and share their prefix.
        at_once: What happens with several requests at the same time.
        prefix: What is kept of a prefix several requests share.
        continues: How a partial answer of the assistant is continued.
        continue_fields: The fields for it, where there are any.
        partial_answers: What to know of that.
        fields: Fields of a request that matter, and what for.
        not_sent: What must not be sent.
        disconnect: What happens when the client leaves.
        owner: What `owned_by` in its list of models begins with, by which it is known; None if by nothing.
    """

    name: str
    start: Fact
    at_once: Fact
    prefix: Fact
    continues: Continues
    continue_fields: tuple[tuple[str, Any], ...] = ()
    partial_answers: Fact
    fields: Fact
    not_sent: Fact
    disconnect: Fact
    owner: str | None = None


CONTINUE_FIELDS: Final = (("continue_final_message", True), ("add_generation_prompt", False))
"""What makes vLLM, and servers like it, go on with the last message instead of closing its turn."""

ENGINES: Final[dict[str, EngineProfile]] = {
    engine.name: engine
    for engine in (
        EngineProfile(
            name="vLLM",
            start=Fact("vllm serve MODEL --enable-prefix-caching", "vLLM documentation"),
            at_once=Fact("continuous batching, many at once by default", "vLLM documentation"),
            prefix=Fact(
                "read once for all requests; hybrids of attention and state-space layers hit nothing",
                "vllm issues 51198 and 42317",
            ),
            continues="fields",
            continue_fields=CONTINUE_FIELDS,
            partial_answers=Fact(
                "needs continue_final_message with add_generation_prompt false: the second is true by "
                "default, and then "
                "the turn is closed without a word; Qwen3's thinking breaks with it",
                "vllm/entrypoints/openai/chat_completion/protocol.py; vllm issue 28089",
            ),
            fields=Fact(
                'chat_template_kwargs {"enable_thinking": false}; cache_salt keeps tenants apart; structured_outputs; '
                "thinking_token_budget; priority with --scheduling-policy priority",
                "vllm/entrypoints/openai/chat_completion/protocol.py",
            ),
            not_sent=Fact(
                "priority other than 0 without priority scheduling is an error", "vllm protocol.py"
            ),
            disconnect=Fact(
                "the request is aborted inside the engine; one open report says not always",
                "vllm pull request 32442, issue 54947",
            ),
            owner="vllm",
        ),
        EngineProfile(
            name="SGLang",
            start=Fact("python -m sglang.launch_server --model-path MODEL", "SGLang documentation"),
            at_once=Fact("continuous batching, many at once by default", "SGLang documentation"),
            prefix=Fact("RadixAttention keeps every prefix for all requests", "SGLang documentation"),
            continues="fields",
            continue_fields=(("continue_final_message", True),),
            partial_answers=Fact("needs continue_final_message", "sglang/srt/entrypoints/openai/protocol.py"),
            fields=Fact(
                "priority, cache_salt, extra_key, separate_reasoning, regex, ebnf",
                "sglang/srt/entrypoints/openai/protocol.py",
            ),
            not_sent=Fact("nothing known", "-"),
            disconnect=Fact(
                "aborted about two seconds later; not in streaming sessions", "sglang pull request 36552"
            ),
            owner="sglang",
        ),
        EngineProfile(
            name="llama.cpp",
            start=Fact(
                "llama-server -m MODEL.gguf -np 8 -c 16384 --kv-unified --jinja",
                "a server of xllamacpp 2026.10 run by the tests of this project",
                "tried",
            ),
            at_once=Fact(
                "four slots that share the context, in versions since the end of 2025; with -np as many as it "
                "says, which divide it unless --kv-unified is given, too; the others wait",
                "run by the tests of this project; llama.cpp pull requests 16736 and 17997",
                "tried",
            ),
            prefix=Fact(
                "kept per slot: read once by requests in a row, and again in every other slot",
                "run by hand",
                "tried",
            ),
            continues="prefill",
            partial_answers=Fact(
                "a last message of the assistant is continued; answers that are not streamed repeat it, "
                "streamed ones do "
                "not; with thinking enabled it is refused (400)",
                "run by the tests of this project; llama.cpp issues 20861 and 21889",
                "tried",
            ),
            fields=Fact(
                'chat_template_kwargs {"enable_thinking": false}; cache_prompt', "run by hand", "tried"
            ),
            not_sent=Fact(
                "n above the number of slots is refused; continue_final_message after a user's message "
                "makes the model go "
                "on with the user's words; priority and cache_salt are ignored",
                "run by hand",
                "tried",
            ),
            disconnect=Fact(
                "a streamed answer frees its slot within a token or two; one that is not streamed is "
                "written to its end",
                "run by the tests of this project, the latter by hand",
                "tried",
            ),
            owner="llamacpp",
        ),
        EngineProfile(
            name="Ollama",
            start=Fact("OLLAMA_NUM_PARALLEL=8 ollama serve", "ollama/envconfig/config.go"),
            at_once=Fact(
                "one, unless OLLAMA_NUM_PARALLEL says more; some families (qwen35, qwen3next, qwen3vl, "
                "lfm2, nemotron_h) "
                "are held to one whatever it says; 512 wait, then 503",
                "ollama/server/sched.go; ollama issues 9054 and 11277",
            ),
            prefix=Fact("kept per slot", "ollama issues"),
            continues="prefill",
            partial_answers=Fact("a last message of the assistant is continued", "ollama issues"),
            fields=Fact("none", "-"),
            not_sent=Fact(
                "n, tool_choice and logit_bias are not taken", "Ollama's page on OpenAI compatibility"
            ),
            disconnect=Fact(
                "closing the connection stops the answer; one report says not when layers run on the CPU",
                "ollama issues 1695 and 2876",
            ),
            owner="library",
        ),
        EngineProfile(
            name="transformers serve",
            start=Fact("transformers serve MODEL --continuous-batching", "a run of version 5.23", "tried"),
            at_once=Fact(
                "one at a time without --continuous-batching; with it, sampling is what the first request "
                "asked for and "
                "stop sequences are ignored",
                "a run of version 5.23",
                "tried",
            ),
            prefix=Fact("shared by whole pages of 256 tokens", "transformers source"),
            continues="no",
            partial_answers=Fact(
                "the turn is closed without a word: add_generation_prompt is always true",
                "transformers/cli/serving/chat_completion.py",
                "tried",
            ),
            fields=Fact(
                "none: n, logprobs, response_format and stream_options are ignored", "a run", "tried"
            ),
            not_sent=Fact(
                "unknown fields are refused (422), continue_final_message among them", "a run", "tried"
            ),
            disconnect=Fact("aborts", "transformers source; sot doctor saw it", "tried"),
        ),
        EngineProfile(
            name="LiteLLM",
            start=Fact("litellm --model openai/MODEL --api_base URL", "LiteLLM documentation"),
            at_once=Fact("whatever stands behind it", "LiteLLM documentation"),
            prefix=Fact("whatever stands behind it", "LiteLLM documentation"),
            continues="prefill",
            partial_answers=Fact(
                "passed on by /v1/chat/completions; /v1/messages lost it for vLLM",
                "litellm pull request 28580",
            ),
            fields=Fact("fields it does not know are passed on", "LiteLLM documentation"),
            not_sent=Fact("nothing known", "-"),
            disconnect=Fact(
                "a streamed request is cancelled upstream; one that is not streamed goes on",
                "litellm issues 30245, 30223 and 37140",
            ),
        ),
        EngineProfile(
            name="Ray Serve LLM",
            start=Fact(
                "ray.serve.llm.build_openai_app under serve run, PrefixCacheAffinityRouter as its request router",
                "ray 2.60 documentation",
            ),
            at_once=Fact("vLLM inside, on as many replicas as are configured", "ray 2.60 documentation"),
            prefix=Fact(
                "per replica; PrefixCacheAffinityRouter sends what shares a prefix to one",
                "ray 2.60 documentation",
            ),
            continues="fields",
            continue_fields=CONTINUE_FIELDS,
            partial_answers=Fact("as vLLM", "ray 2.60 documentation"),
            fields=Fact("as vLLM", "ray 2.60 documentation"),
            not_sent=Fact("as vLLM", "ray 2.60 documentation"),
            disconnect=Fact("the replica's task is cancelled", "ray pull request 39120"),
        ),
    )
}
"""The engines, by name."""


def engine_of(owner: str | None) -> EngineProfile | None:
    """The engine whose models say they are owned by `owner`; None if no engine is known by that."""
    if not owner:
        return None
    return next((e for e in ENGINES.values() if e.owner and owner.lower().startswith(e.owner)), None)
