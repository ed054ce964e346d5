"""Seven services, eight scenarios, and numbers that agree with each other inside an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from logsim.request import CATALOGUE
from logsim.scenarios import SCENARIOS, by_name
from logsim.scenarios.cache_node import SLOTS
from logsim.services import SERVICES
from tests.unit.logsim.produce import produce


def rendered(name: str, count: int = 200) -> Iterator[str]:
    texts, _ = produce(count, error_rate=1.0, scenario=by_name[name])
    yield from texts


def numbers(pattern: str, text: str) -> tuple[int, ...]:
    match = re.search(pattern, text)
    assert match, f"{pattern} not in:\n{text}"
    return tuple(int(group) for group in match.groups())


def test_the_services_and_scenarios_are_those_promised() -> None:
    assert [service.name for service in SERVICES] == [
        "payment-api",
        "order-service",
        "auth-service",
        "inventory-service",
        "notification-service",
        "user-profile-api",
        "analytics-engine",
    ]
    assert [scenario.title for scenario in SCENARIOS] == [
        "Database connection pool exhausted",
        "Payment gateway timeout",
        "Cache cluster node down",
        "External API rate limit",
        "JWT validation failure",
        "Inventory lock timeout",
        "Message-queue consumer lag",
        "Out of memory",
    ]
    for service in SERVICES:
        assert re.fullmatch(r"\d+\.\d+\.\d+", service.version)
        assert len(service.pods) >= 2
        assert all(
            re.fullmatch(rf"{service.name}-[a-z0-9]{{8,10}}-[a-z0-9]{{5}}", p) for p in service.pods
        )


def test_scenarios_belong_to_services_that_can_have_them() -> None:
    services = {s.name: {service.name for service in s.services} for s in SCENARIOS}
    assert services["payment-gateway-timeout"] == {"payment-api", "order-service"}
    assert services["inventory-lock-timeout"] == {"inventory-service"}
    assert services["jwt-validation-failure"] == {"auth-service", "user-profile-api"}
    assert "auth-service" not in services["consumer-lag"]
    everywhere = set().union(*services.values())
    assert everywhere == {service.name for service in SERVICES}


def test_all_scenarios_and_services_come_up() -> None:
    texts, labels = produce(800, error_rate=1.0)
    counts = [sum(d["scenario"] == s.name for d in labels) for s in SCENARIOS]
    assert min(counts) == max(counts) == 100
    assert {d["service"] for d in labels} == {service.name for service in SERVICES}
    assert len(texts) == 800


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_an_error_has_all_its_parts_in_order(scenario: object) -> None:
    for error in rendered(scenario.name, 20):  # type: ignore[attr-defined]
        assert re.match(
            r"\[ERROR\] \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [a-z-]+/v\d+\.\d+\.\d+: "
            + re.escape(scenario.title),  # type: ignore[attr-defined]
            error,
        )
        parts = [
            "\nERROR: ",
            "\n    Pod: ",
            "\n    Version: ",
            "\n    Request ID: req-",
            "\n    User ID: usr-",
            "\n    Correlation ID: ",
            "\n    Recovery action: ",
            "\n--- end of ",
        ]
        places = [error.index(part) for part in parts]
        assert places == sorted(places)
        assert error.endswith(" ---\n")
        assert "%(" not in error
        assert len(set(re.findall(r"req-[0-9a-f]{16}", error))) == 1


def test_pool_numbers_agree() -> None:
    for error in rendered("db-pool-exhausted"):
        active, size, waiting = numbers(r"(\d+)/(\d+) connections active, (\d+) threads", error)
        assert active == size
        details = r"total=(\d+), active=(\d+), idle=0, waiting=(\d+)"
        for found in re.findall(details, error):
            assert tuple(map(int, found)) == (size, active, waiting)
        limit, waited = numbers(r"Acquire timeout: (\d+) ms \(waited (\d+) ms\)", error)
        assert limit <= waited < limit + 1000
        if "HikariPool" in error:
            assert f"request timed out after {waited}ms" in error
        else:
            assert f"limit of size {size} overflow 0" in error


def test_gateway_numbers_agree() -> None:
    for error in rendered("payment-gateway-timeout"):
        attempts, limit, elapsed = numbers(
            r"after (\d+) attempts of (\d+) ms \((\d+) ms in all\)", error
        )
        assert attempts * limit <= elapsed < attempts * limit + limit
        failed, calls, percent = numbers(r"(\d+) of the last (\d+) calls failed \((\d+) %\)", error)
        assert percent == failed * 100 // calls
        (euros, cents) = numbers(r"Order: ord-\d+, (\d+)\.(\d\d) EUR", error)
        total = euros * 100 + cents
        assert any(total in (price, 2 * price, 3 * price, 4 * price) for _, _, price in CATALOGUE)
        assert len(set(re.findall(r"ord-\d+", error))) == 1


def test_cache_numbers_agree() -> None:
    for error in rendered("cache-node-down"):
        (slot,) = numbers(r"Key slot: (\d+)", error)
        first, last = numbers(r"slots (\d+)-(\d+)\)", error)
        unserved, slots = numbers(r"(\d+) of (\d+) slots not served", error)
        assert slots == SLOTS
        assert first <= slot <= last
        assert unserved == last - first + 1
        up, nodes = numbers(r"(\d+)/(\d+) nodes up", error)
        assert up == nodes - 1
        assert (up, nodes) == numbers(r"(\d+) of (\d+) nodes up", error)


def test_quota_numbers_agree() -> None:
    for error in rendered("api-rate-limit"):
        used, quota, window, retry = numbers(
            r"quota (\d+)/(\d+) used in the (\d+) s window, retry in (\d+) s", error
        )
        assert used == quota
        assert 0 < retry <= window
        (second,) = numbers(r"^\[ERROR\] \S+ \d\d:\d\d:(\d\d)", error)
        assert retry == window - second
        assert f"Quota: {quota} requests per {window} s, used {quota}, remaining 0" in error


def test_token_times_agree() -> None:
    for error in rendered("jwt-validation-failure"):
        late, skew = numbers(r"expired (\d+) s ago \(allowed clock skew (\d+) s\)", error)
        assert late > skew
        if "Current time" in error:
            assert f"a difference of {late * 1000} milliseconds" in error
        user = re.search(r"User ID: (\S+)", error)
        assert user
        assert f"token of {user[1]} expired" in error


def test_lock_numbers_agree() -> None:
    for error in rendered("inventory-lock-timeout"):
        (limit, waited) = numbers(r"Lock timeout: (\d+) ms \(waited (\d+) ms\)", error)
        (held,) = numbers(r"for (\d+) ms, \d+ waiting", error)
        assert limit <= waited <= held
        assert len(set(re.findall(r"SKU-\d+", error))) == 1


def test_lag_numbers_agree() -> None:
    for error in rendered("consumer-lag"):
        lag, partition, limit = numbers(
            r"lag: (\d+) messages behind on order-events\[(\d+)\] \(limit (\d+)\)", error
        )
        committed, end, again = numbers(r"committed (\d+), log end (\d+), lag (\d+)", error)
        assert lag == again == end - committed
        assert lag > limit
        assert f"order-events partition {partition}\n" in error
        rate_in, rate_out, growth = numbers(r"in (\d+)/s, out (\d+)/s, lag grows by (\d+)/s", error)
        assert growth == rate_in - rate_out > 0


def test_memory_numbers_agree() -> None:
    for error in rendered("out-of-memory"):
        used, limit, *rest = numbers(
            r"(?:Heap|Container memory): (\d+) MB used of (\d+) MB.*?(\d+) MB free", error
        )
        assert used + rest[0] == limit
        if "analytics-engine" in error:
            rows, columns = numbers(r"shape \((\d+), (\d+)\)", error)
            assert f"{rows * columns * 8 / 2**30:.2f} GiB" in error
            assert rows * columns * 8 > rest[0] * 2**20
