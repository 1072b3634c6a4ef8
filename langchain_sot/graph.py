"""The picture of a chain: route, skeleton, points at the same time, or one direct answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from langchain_core.runnables.graph import Graph, Node

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from langchain_sot.chain import SkeletonOfThoughtChain


def draw(chain: SkeletonOfThoughtChain, config: RunnableConfig | None) -> Graph:
    """The steps of a run; three points stand for however many there will be."""
    graph = Graph()

    def node(name: str, data: Any = chain.model) -> Node:
        made = Node(uuid4().hex, name, data, None)
        graph.nodes[made.id] = made
        return made

    question = graph.add_node(chain.get_input_schema(config))
    skeleton = node("skeleton", chain.skeleton_model or chain.model)
    direct, answer = node("direct"), node("answer", None)
    if chain.chosen_router() is None:
        graph.add_edge(question, skeleton)
    else:
        route = node("route", None)
        graph.add_edge(question, route)
        graph.add_edge(route, skeleton, "sot", conditional=True)
        graph.add_edge(route, direct, "direct", conditional=True)
    graph.add_edge(skeleton, direct, "no list", conditional=True)
    for name in ("point 1", "point 2", "point n"):
        point = node(name, chain.point_model or chain.model)
        graph.add_edge(skeleton, point)
        graph.add_edge(point, answer)
    graph.add_edge(direct, answer)
    graph.add_edge(answer, graph.add_node(chain.get_output_schema(config)))
    return graph
