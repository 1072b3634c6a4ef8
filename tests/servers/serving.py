"""`sot serve` in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading

import uvicorn

from sot_command.server import open_service


class Serving:
    """A service on a port of its own, its loop in a thread."""

    def __init__(self, model="openai:gpt-4o-mini", **options):
        self.service = open_service(model, **options)
        listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        self.url = f"{self.address}/v1"
        config = uvicorn.Config(
            self.service.application(),
            log_config=None,
            ws="none",
            timeout_graceful_shutdown=20,
            timeout_keep_alive=120,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def stop(self):
        self.server.should_exit = True
        self.thread.join(30)

    def __exit__(self, *_):
        self.stop()
        with contextlib.suppress(RuntimeError):
            assert not self.thread.is_alive()
