"""LlamaIndex LLMs of this project: the local engine, a client of the command, and any LangChain chat model.

`sot_llm` is an LLM in front of any other, which answers with a skeleton what `purpose` says a person will read.
`delta_llm` is the base they share: whole answers and streams, sync and async, made of one stream of deltas.
`blocking` runs what has no async methods beside the event loop.
"""
