"""The method's prompts as LlamaIndex templates, which `get_prompts` shows and `update_prompts` replaces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate, SelectorPromptTemplate

from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.prompts import Prompts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from llama_index.core.llms import LLM
    from llama_index.core.prompts import BasePromptTemplate

    from skeleton_of_thought.prompts import AnyPrompts

CONTEXT = "context_template"
_CLASSIC = {"skeleton_template": "skeleton", "point_template": "point"}
_OPENING = {"opening_template": "opening", "part_template": "part"}
_FIELDS = ("outline", "point", "point_outline", "notes", "form")


@dataclass(frozen=True, slots=True)
class Templates:
    """The templates of one synthesizer or query engine.

    Attributes:
        base: What the templates do not say: examples, beginnings of answers, lengths; and which protocol it is.
        all: The templates by their keys.
    """

    base: AnyPrompts
    all: Mapping[str, BasePromptTemplate]

    @classmethod
    def of(cls, prompts: AnyPrompts, context: str | None = None) -> Self:
        """The templates of these prompts; `{request}` is called `{query_str}` here.

        Args:
            prompts: Where the templates come from: for skeleton and point, or for opening and part.
            context: Shows the chunks, with `{context_str}`; None where there are none.
        """
        templates: dict[str, BasePromptTemplate] = {
            key: PromptTemplate(getattr(prompts, name).replace("{request}", "{query_str}"))
            for key, name in _names(prompts).items()
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

    def prompts(self, llm: LLM, variables: Mapping[str, Any]) -> AnyPrompts:
        """The prompts for the method; `variables` fill further fields of the templates."""
        fields = {name: f"{{{name}}}" for name in _FIELDS}
        texts = {
            name: self._text(key, llm, {**variables, **fields, "query_str": "{request}"})
            for key, name in _names(self.base).items()
        }
        changed: AnyPrompts = replace(self.base, **texts)  # type: ignore[arg-type]
        return changed

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


def _names(prompts: AnyPrompts) -> Mapping[str, str]:
    """The templates' keys, and what they are called in the prompts."""
    return _CLASSIC if isinstance(prompts, Prompts) else _OPENING
