"""Does the skeleton parser survive? Random strings in, every result checked.

Usage: python benchmarks/parse_random.py 1000000 --seed 1
"""

from __future__ import annotations

import argparse
import random
import time

from skeleton_of_thought.skeleton import parse_skeleton

# Fragments that mean something to the parser, so that random texts reach its corners.
FRAGMENTS = r"""
1. 2. 3) (1) 1.1 12. 2023. I. ii) A. b) ① 一、 第二， ３． - * • – ** __ ` ``` # ## > | |-| : ： ; . … 、 " “ ” ' [ ]
{ } ( ) , \ <think> </think> <li> <ol> <b> </b> <|im_end|> <answer> </answer> Point Step Skeleton: Question: final title
1️⃣ ✅ 🔋 Energy water save the 能源 الطاقة [a](b) {"title": ["a", "b"]
""".split()  # noqa: SIM905 - fragments read best side by side
BLANKS = [" ", "\n", "\n\n", "\r\n", "\t", "    "]
LAST_CODE_POINT = 0x10FFFF


def random_text(generator: random.Random) -> str:
    """A text of fragments, of any code points (lone surrogates too), or of printable ASCII."""
    length = generator.randrange(60)
    kind = generator.randrange(4)
    if kind == 0:
        return "".join(chr(generator.randint(0, LAST_CODE_POINT)) for _ in range(length))
    if kind == 1:
        return "".join(chr(generator.randint(9, 126)) for _ in range(length))
    return "".join(generator.choices(FRAGMENTS + BLANKS * 5, k=length))


def check(text: str) -> int:
    """Parse, check what must hold for any text, and return the number of points."""
    skeleton = parse_skeleton(text)
    titles = [point.title for point in skeleton]
    if [point.index for point in skeleton] != list(range(1, len(skeleton) + 1)):
        raise AssertionError(f"points are not numbered from 1: {text!r}")
    if not all(title and title == title.strip() and len(title.splitlines()) == 1 for title in titles):
        raise AssertionError(f"a title is empty, padded or of several lines: {text!r}")
    if [point.title for point in parse_skeleton(skeleton.as_text())] != titles:
        raise AssertionError(f"the canonical text gives other titles: {text!r}")
    return len(titles)


def main() -> None:
    """Parse random strings and print how many held points."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("count", type=int, nargs="?", default=20_000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    generator = random.Random(chosen.seed)
    started = time.process_time()
    points = [check(random_text(generator)) for _ in range(chosen.count)]
    with_points = sum(map(bool, points))
    print(
        f"{chosen.count} strings, {with_points} with points, {sum(points)} points, longest list {max(points)}"
    )
    print(f"seed {chosen.seed}, {time.process_time() - started:.1f} s CPU")


if __name__ == "__main__":
    main()
