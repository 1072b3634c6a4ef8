"""Who answers behind `sot serve`: the clients of the command once more, with asyncio and the caller's own fields.

`upstream` says what one is; `openai_api` relays to any server that speaks OpenAI's language, `local` asks the engine
in this process, `anthropic_api` translates; `opening` finds the one for a model's name.
"""

from sot_command.server.upstreams.opening import open_upstream
from sot_command.server.upstreams.upstream import Upstream

__all__ = ["Upstream", "open_upstream"]
