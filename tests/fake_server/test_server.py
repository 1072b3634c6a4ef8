from __future__ import annotations

import signal
import subprocess
import sys
import threading

import httpx2
import pytest

from skeleton_of_thought.fake_server import FakeServer, Pace


def test_it_starts_and_stops_and_leaves_nothing_behind():
    before = threading.active_count()
    with FakeServer(pace=Pace(first_token=30)) as server:
        assert httpx2.get(f"{server.url}/v1/models").status_code == 200
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
        waiting = httpx2.Client()
        with waiting.stream("POST", f"{server.url}/v1/chat/completions", json=body) as response:
            assert response.status_code == 200
            server.close()
        waiting.close()
    assert threading.active_count() == before
    assert [entry.outcome for entry in server.ledger.entries] == ["disconnected"]
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(server.url)


def test_unknown_paths_and_methods(server):
    assert httpx2.get(f"{server.url}/v2").status_code == 404
    assert httpx2.get(f"{server.url}/v1/chat/completions").status_code == 405


def test_the_command_serves_until_interrupted():
    code = "import typer; from sot_command.serve import serve_fake; typer.run(serve_fake)"
    command = [
        sys.executable,
        "-c",
        code,
        "--port",
        "0",
        "--points",
        "4",
        "--first-token",
        "0",
        "--per-token",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        body = {"model": "m", "messages": [{"role": "user", "content": "A skeleton: sleep"}]}
        answer = httpx2.post(f"{url}/v1/chat/completions", json=body).json()
        process.send_signal(signal.SIGINT)
        output = process.stdout.read()
    assert answer["choices"][0]["message"]["content"].count("\n") == 3
    assert f"OPENAI_BASE_URL={url}/v1" in output
    assert output.endswith("Stopped.\n")
    assert process.returncode == 0
