"""`sot serve` as two replicas of Ray Serve, until standard input ends: `ray_replicas.py UPSTREAM STORE LIMIT`.

Each answer says in a header which replica gave it.
"""

from __future__ import annotations

import socket
import sys

import ray
from ray import serve

UPSTREAM, STORE, LIMIT = sys.argv[1:]
REQUESTS_PER_MINUTE = 12


def application():
    from sot_command.server import open_service
    from tests.limits.sqlite_storage import SqliteStorage

    assert STORE.startswith(SqliteStorage.STORAGE_SCHEME[0])
    app = open_service(
        "openai:gpt-4o-mini",
        base_url=f"{UPSTREAM}/v1",
        requests_per_minute=int(LIMIT),
        limits_store=STORE,
    ).application()

    async def with_replica(scope, receive, send):
        async def told(message):
            if message["type"] == "http.response.start":
                replica = serve.get_replica_context().replica_id.unique_id.encode()
                message = {**message, "headers": [*message["headers"], (b"x-replica", replica)]}
            await send(message)

        await app(scope, receive, told)

    return with_replica


@serve.deployment(num_replicas=2, max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0})
@serve.ingress(application)
class Sot:
    """Answers at /v1/chat/completions."""


def main():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(Sot.bind(), route_prefix="/")  # type: ignore[attr-defined]
    sys.stdout.write(f"http://127.0.0.1:{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
