"""The page: a question, two columns, two clocks."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from skeleton_of_thought.errors import require
from sot_command.choices import RouteChoice
from sot_command.demo.columns import advice, column, verdict, waiting
from sot_command.demo.lanes import SideBySide

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from skeleton_of_thought.clients import Client

VISITORS = 16
"""Races at the same time; others wait in a queue."""
LONGEST_QUESTION = 2000
"""Characters."""
QUESTION = "How can I improve my time management skills?"
_ABOUT = (
    "### The same question, answered both ways at the same time\n"
    "{model} · On a local model both share one batch, so each slows the other a little: "
    "`sot compare` and `sot eval` measure one after the other."
)


def gradio() -> Any:
    """Gradio, without its analytics.

    Raises:
        MissingExtraError: The extra `demo` is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    return require("gradio", extra="demo", needed_for="The demo page")


def build(client: Client, *, max_points: int | None) -> Any:
    """The page as Gradio's blocks; all visitors share the client.

    Args:
        client: Answers, several questions at the same time.
        max_points: Most points of a skeleton.

    Raises:
        MissingExtraError: The extra `demo` is not installed.
    """
    gr = gradio()

    async def race(question: str) -> AsyncGenerator[tuple[str, str, str]]:
        if not question.strip():
            empty = "The question is empty; type one."
            yield waiting(RouteChoice.direct, empty), waiting(RouteChoice.sot, empty), ""
            return
        running = SideBySide(question, client, max_points=max_points)
        async with contextlib.aclosing(running.run()) as moments:
            async for _ in moments:
                yield column(running.plain), column(running.sot), verdict(running) + advice(running)

    with gr.Blocks(title="Skeleton-of-Thought", analytics_enabled=False, fill_width=True) as page:
        gr.Markdown(_ABOUT.format(model=f"Model: `{client.name}`"))
        with gr.Row():
            question = gr.Textbox(
                value=QUESTION,
                label="Question",
                lines=1,
                max_lines=3,
                max_length=LONGEST_QUESTION,
                scale=5,
                elem_id="question",
            )
            start = gr.Button("SideBySide", variant="primary", scale=1, elem_id="race")
        result = gr.HTML(elem_id="verdict")
        with gr.Row(elem_classes="sides"):
            plain = gr.HTML(waiting(RouteChoice.direct))
            sot = gr.HTML(waiting(RouteChoice.sot))
        gr.on(
            [start.click, question.submit],
            race,
            inputs=question,
            outputs=[plain, sot, result],
            show_progress="hidden",
            concurrency_limit=VISITORS,
            api_visibility="private",
        )
    page.queue(max_size=4 * VISITORS)
    return page
