"""The picture of a chain: route, skeleton, points at the same time, or one direct answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.runnables.graph import Graph, Node

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable


def draw(
    *,
    input_schema: type[Any],
    output_schema: type[Any],
    direct_model: Runnable[Any, Any],
    skeleton_model: Runnable[Any, Any],
    point_model: Runnable[Any, Any],
    routed: bool,
) -> Graph:
    """The steps of a run; three points stand for however many there will be.

    Args:
        input_schema: Of the chain's questions.
        output_schema: Of its answers.
        direct_model: Who answers directly.
        skeleton_model: Who writes the skeleton.
        point_model: Who writes a point.
        routed: Whether a router is asked first.
    """
    graph = Graph()

    def node(name: str, data: Any) -> Node:
        made = Node(uuid4().hex, name, data, None)
        graph.nodes[made.id] = made
        return made

    question = graph.add_node(input_schema)
    skeleton = node("skeleton", skeleton_model)
    direct, answer = node("direct", direct_model), node("answer", None)
    if routed:
        route = node("route", None)
        graph.add_edge(question, route)
        graph.add_edge(route, skeleton, "sot", conditional=True)
        graph.add_edge(route, direct, "direct", conditional=True)
    else:
        graph.add_edge(question, skeleton)
    graph.add_edge(skeleton, direct, "no list", conditional=True)
    for name in ("point 1", "point 2", "point n"):
        point = node(name, point_model)
        graph.add_edge(skeleton, point)
        graph.add_edge(point, answer)
    graph.add_edge(direct, answer)
    graph.add_edge(answer, graph.add_node(output_schema))
    return graph
