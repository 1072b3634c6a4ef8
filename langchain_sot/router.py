"""`SkeletonOfThoughtRouter`: a chat model's place, taken by the chain or by the plain model per question."""

from __future__ import annotations

from typing import ClassVar

from langchain_sot.chain import SkeletonOfThoughtChain


class SkeletonOfThoughtRouter(SkeletonOfThoughtChain):
    """Skeleton-of-Thought where it pays, else the plain model (SoT-R, paper section 4).

    The chain with a router switched on. A question the router calls unsuitable is answered by one call of the
    plain model, streamed, traced and billed as when called alone; `response_metadata["sot"]` tells the route
    and the reason. `config={"configurable": {"sot_route": "sot"}}` decides for one call.
    `options=Options(load_aware=True)` makes answers direct while no gain is to be expected.

    Attributes:
        router: `"lexical"` (under a millisecond, no dependency; the choice of None for a model that does not decide
            by itself), `"embedding"`, `"gain"`, any other name of `get_router`, a `Router`, a chat model, which is
            asked for one letter (`race=True` hides the time that takes), or a runnable that returns "sot" or "direct".

    Example:
        ```python
        from langchain_sot import ChatTransformers, SkeletonOfThoughtRouter

        model = SkeletonOfThoughtRouter(model=ChatTransformers())
        model.invoke("How can I improve my time management skills?").response_metadata["sot"]["route"]
        ```
    """

    routes_by_default: ClassVar[bool] = True
