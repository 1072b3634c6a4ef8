"""The benchmarks run, on a tiny model, and report what they promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(*arguments: object) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # tiny matrices gain nothing from threads
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_decoding(tmp_path: Path, tiny_model, tokenizer) -> None:
    folder = tmp_path / "model"
    tiny_model("llama grouped-query").save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    out = tmp_path / "decoding"
    run(
        *(BENCHMARKS / "decoding.py", "--model", folder, "--dtype", "float32", "--out", out, "--rounds", 1),
        *(
            "--points",
            1,
            2,
            "--contexts",
            0,
            "--tokens",
            4,
            "--questions",
            1,
            "--at-once",
            2,
            "--max-tokens",
            8,
        ),
    )
    report = json.loads(out.with_suffix(".json").read_text())
    assert [row["points"] for row in report["points"]] == [1, 2]
    ways = {
        "one after another",
        "padded generate",
        "ChatHuggingFace",
        "continuous batching",
        "ours",
        "direct",
    }
    for row in report["points"]:
        assert set(row["seconds"]) == ways
        assert row["times_ours"]["ours"] == 1
        assert row["step_seconds"] > 0
        assert row["floor_linear_seconds"] > 0
    assert report["ten_questions"]["median_speed_up"] > 0
    assert report["throughput"]["throughput_ratio"] > 0
    assert out.with_suffix(".png").stat().st_size > 1000


def test_gpu_in_its_smoke_mode_needs_nothing_but_torch_and_transformers(tmp_path: Path) -> None:
    output = run(BENCHMARKS / "gpu.py", "--device", "cpu", "--tiny", "--dtype", "float32", "--out", tmp_path)
    report = json.loads((tmp_path / "gpu-cpu-tiny.json").read_text())
    assert "estimated speed-up" in output
    assert set(report["measured"]) == {"padded generate", "continuous batching", "skeleton-of-thought"}
    assert sorted(map(int, report["prefill_seconds"]["1"])) == [1, 11, 21]
    estimate = report["estimate"]
    assert estimate["speed_up"] == estimate["normal_seconds"] / (
        estimate["skeleton_seconds"] + estimate["points_seconds"]
    )
    imports = {
        line.split()[1].split(".")[0]
        for line in (BENCHMARKS / "gpu.py").read_text().splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imports - set(sys.stdlib_module_names) == {"torch", "transformers"}


def test_gpu_in_a_few_minutes_writes_what_it_had_time_for(tmp_path: Path) -> None:
    arguments = (BENCHMARKS / "gpu.py", "--device", "cpu", "--tiny", "--dtype", "float32", "--repeats", 1)
    output = run(*arguments, "--minutes", 2, "--out", tmp_path)
    report = json.loads((tmp_path / "gpu-cpu-tiny.json").read_text())
    ways = {"padded generate", "continuous batching", "skeleton-of-thought"}
    assert set(report["steps"]) == {
        f"{way}, {rows} rows, {shared} shared tokens" for way in ways for rows in (1, 2) for shared in (0, 20)
    }
    assert set(report["questions"]) == {*ways, "estimate"}
    assert (report["skipped"], report["failed"]) == ([], {})
    assert "times that" in output
    run(*arguments, "--minutes", 0, "--out", tmp_path)
    report = json.loads((tmp_path / "gpu-cpu-tiny.json").read_text())
    assert len(report["skipped"]) >= 12
