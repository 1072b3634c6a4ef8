from __future__ import annotations

import json

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler

from langchain_sot import SkeletonOfThoughtChain
from skeleton_of_thought import Usage
from skeleton_of_thought.errors import ConfigurationError
from skeleton_of_thought.prices import Price, Prices

from .conftest import chat_model
from .ways import QUESTION, WAYS, ask


def sums(rows):
    return [sum(row[name] for row in rows) for name in ("calls", "retries", "input_tokens", "output_tokens")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("route", ["sot", "direct"])
@pytest.mark.parametrize("faulty", [False, True])
async def test_the_bill_is_the_servers_ledger(server, model, way, route, faulty):
    if faulty:
        server.faults.add("server_error", rate=0.3, seed=3)
        server.faults.add("reset", rate=0.3, seed=4, stage="point", after_tokens=2)
        server.faults.add("rate_limit", rate=0.2, seed=5, retry_after=0.05)
    handler = UsageMetadataCallbackHandler()
    config = {"callbacks": [handler], "configurable": {"sot_route": route}}
    sot = (
        await ask(way, SkeletonOfThoughtChain(router="always", model=model, retries=4), config=config)
    ).response_metadata["sot"]
    bill, ledger = sot["bill"], server.ledger
    assert bool(bill["retries"]) == (faulty and route == "sot")
    assert bill["calls"] == len(ledger.entries)
    assert bill["retries"] == len(ledger.entries) - len({entry.prompt_hash for entry in ledger.entries})
    if not faulty or "openai" in type(model).__module__:  # broken Anthropic streams have told of the prompt
        assert Usage(bill["input_tokens"], bill["output_tokens"]) == ledger.usage()
    seen = list(handler.usage_metadata.values())
    assert [bill["input_tokens"], bill["output_tokens"]] == [
        sum(usage[name] for usage in seen) for name in ("input_tokens", "output_tokens")
    ]
    assert sums(bill["stages"].values()) == sums([bill])
    assert sums(bill["points"]) == sums([bill["stages"]["points"]])
    for point in sot["points"]:
        assert {name: bill["points"][point["index"] - 1][name] for name in point["usage"]} == point["usage"]
    assert json.dumps(sot)


async def test_the_plain_answer_is_estimated(server, model):
    chain = SkeletonOfThoughtChain(router="always", model=model)
    question = "Please read this. " * 100 + QUESTION
    estimate = (await chain.ainvoke(question)).response_metadata["sot"]["bill"]["plain"]
    server.ledger.clear()
    await model.ainvoke(question)
    assert estimate["input_tokens"] == pytest.approx(server.ledger.usage().input_tokens, rel=0.05)
    assert estimate["output_tokens"] > 0


async def test_money(server):
    chain = SkeletonOfThoughtChain(
        router="always",
        model=chat_model(server),
        point_model=chat_model(server, "anthropic"),
        prices=Prices(
            {
                "gpt-4o-mini": Price(input=1, output=2, as_of="2026-02"),
                "claude-haiku": Price(input=9, output=9, as_of="2026-01"),
                "claude-haiku-4-5": Price(input=3, output=4, as_of="2026-01"),
            }
        ),
    )
    bill = (await chain.ainvoke(QUESTION)).response_metadata["sot"]["bill"]
    skeleton, points = bill["stages"]["skeleton"], bill["stages"]["points"]
    expected = skeleton["input_tokens"] + 2 * skeleton["output_tokens"]
    expected += 3 * points["input_tokens"] + 4 * points["output_tokens"]
    assert bill["cost"]["total"] == pytest.approx(expected / 1e6)
    assert bill["cost"]["plain"] == pytest.approx(
        (bill["plain"]["input_tokens"] + 2 * bill["plain"]["output_tokens"]) / 1e6
    )
    assert (bill["cost"]["as_of"], bill["cost"]["currency"]) == ("2026-01", "USD")
    assert {entry.api for entry in server.ledger.entries if entry.stage == "point"} == {"anthropic"}
    assert (
        "cost"
        not in (
            await SkeletonOfThoughtChain(router="always", model=chat_model(server)).ainvoke(QUESTION)
        ).response_metadata["sot"]["bill"]
    )


async def test_money_is_unknown_where_a_price_is(server):
    chain = SkeletonOfThoughtChain(
        router="always",
        model=chat_model(server),
        point_model=chat_model(server, model="mystery"),
        prices="default",
    )
    cost = (await chain.ainvoke(QUESTION)).response_metadata["sot"]["bill"]["cost"]
    assert cost["total"] is None
    assert cost["plain"] > 0


def test_prices_of_cached_tokens():
    price = Price(input=10, output=0, cache_read=1, cache_write=12.5)
    assert price.of(Usage(1000, 5, 600, 300)) == pytest.approx((100 * 10 + 600 + 300 * 12.5) / 1e6)
    assert Price(input=10, output=0).of(Usage(1000, 0, 600, 300)) == pytest.approx(0.01)


def test_the_table_of_the_package():
    prices = Prices.load()
    assert prices.of("gpt-4o-mini-2024-07-18") == prices.of("gpt-4o-mini") != prices.of("gpt-4o")
    assert prices.of("gpt-4o-something") is None
    assert prices.of(None) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"as_of": "x", "models": {"a": {"in": 1}}}'])
def test_a_wrong_table_is_refused(tmp_path, content, server):
    file = tmp_path / "prices.json"
    file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"prices\.json"):
        Prices.load(file)
    with pytest.raises(ValueError, match=r"prices\.json"):
        SkeletonOfThoughtChain(router="always", model=chat_model(server), prices=file)


@pytest.mark.parametrize("price", ["1", None, -1, float("nan"), float("inf"), True, [1]])
def test_a_price_that_is_none_is_refused_by_name(tmp_path, price):
    with pytest.raises(ConfigurationError, match="The price output is"):
        Price(input=1, output=price)
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"as_of": "2026", "models": {"m": {"input": price, "output": 1}}}))
    with pytest.raises(ConfigurationError, match=r"prices\.json' is no table of prices .*The price input is"):
        Prices.load(file)
