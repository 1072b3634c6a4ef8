"""LlamaIndex LLMs of this project: the local engine, a client of the command, and any LangChain chat model.

`delta_llm` is the base they share: whole answers and streams, sync and async, made of one stream of deltas.
`blocking` runs what has no async methods beside the event loop.
"""
