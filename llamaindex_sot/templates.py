"""The method's prompts as LlamaIndex templates, which `get_prompts` shows and `update_prompts` replaces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, SelectorPromptTemplate

from skeleton_of_thought.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llama_index.core.llms import LLM
    from llama_index.core.prompts import BasePromptTemplate

    from skeleton_of_thought.prompts import Prompts

SKELETON, POINT, CONTEXT = "skeleton_template", "point_template", "context_template"


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of one synthesizer or query engine.

    Attributes:
        base: What the templates do not say: examples, beginnings of answers, lengths.
        all: The templates by their keys.
    """

    base: Prompts
    all: Mapping[str, BasePromptTemplate]

    @classmethod
    def of(cls, prompts: Prompts, context: str | None = None) -> Self:
        """The templates of these prompts; `{request}` is called `{query_str}` here.

        Args:
            prompts: Where the skeleton and point templates come from.
            context: Shows the chunks, with `{context_str}`; None where there are none.
        """
        templates = {
            SKELETON: PromptTemplate(prompts.skeleton.replace("{request}", "{query_str}")),
            POINT: PromptTemplate(prompts.point.replace("{request}", "{query_str}")),
        }
        if context is not None:
            templates[CONTEXT] = PromptTemplate(context)
        return cls(prompts, templates)

    def updated(
        self, templates: Mapping[str, BasePromptTemplate], *, others: Collection[str], llm: LLM
    ) -> Self:
        """A copy with some templates replaced.

        Args:
            templates: The new ones.
            others: Keys that belong to modules inside, which LlamaIndex updates itself.
            llm: Selects among the prompts of a selector.

        Raises:
            ConfigurationError: An unknown key, a chat template, or a template without a field it needs.
        """
        own = {key: template for key, template in templates.items() if key not in others}
        if unknown := sorted(own.keys() - self.all.keys()):
            allowed = ", ".join(map(repr, [*self.all, *others]))
            raise ConfigurationError(f"There is no prompt {unknown[0]!r} here; the keys are {allowed}.")
        changed = replace(self, all={**self.all, **own})
        changed.prompts(llm, {})
        if CONTEXT in self.all and "\0" not in changed.context(llm, "\0", {}):
            raise ConfigurationError("The context_template has no {context_str}; the model needs the chunks.")
        return changed

    def prompts(self, llm: LLM, variables: Mapping[str, Any]) -> Prompts:
        """The prompts for the method; `variables` fill further fields of the templates."""
        fields = {name: f"{{{name}}}" for name in ("outline", "point", "point_outline")}
        texts = {
            key: self._text(key, llm, {**variables, **fields, "query_str": "{request}"})
            for key in (SKELETON, POINT)
        }
        return replace(self.base, skeleton=texts[SKELETON], point=texts[POINT])

    def context(self, llm: LLM, chunks: str, variables: Mapping[str, Any]) -> str:
        """The chunks as a request shows them."""
        return self._text(CONTEXT, llm, {**variables, "context_str": chunks})

    def _text(self, key: str, llm: LLM, variables: Mapping[str, Any]) -> str:
        template = self.all[key]
        if isinstance(template, SelectorPromptTemplate):
            template = template.select(llm)
        if isinstance(template, ChatPromptTemplate):
            raise ConfigurationError(
                f"{key} is a ChatPromptTemplate; it must be a PromptTemplate, the text of one user message. "
                "A system prompt belongs to the LLM: its option system_prompt."
            )
        return template.format(**variables)
