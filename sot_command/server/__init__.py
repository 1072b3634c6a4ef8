"""`sot serve`: an OpenAI-compatible server in front of any model the command takes.

To read it: `reading` (a body becomes what is asked of whom), `answering` (the run behind an answer), `writing` (the
answer on the wire), `problems` (errors in OpenAI's shape), `application` (the endpoints, which bring these together),
`metrics`, `running`, `opening`; `upstreams/` are the models behind.

Needs the extra `serve`.
"""

from skeleton_of_thought.errors import require

require("starlette", extra="serve", needed_for="sot serve")

from sot_command.server.answering import Answerer  # noqa: E402 - says first what is missing
from sot_command.server.application import ROUTE_HEADER, Service  # noqa: E402
from sot_command.server.opening import open_service  # noqa: E402
from sot_command.server.running import log_to_stderr, serve  # noqa: E402

__all__ = ["ROUTE_HEADER", "Answerer", "Service", "log_to_stderr", "open_service", "serve"]
