"""Related lines share their ids, and an incident is told from onset to recovery."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from typing import Any

import pytest

from logsim.scenarios.database_pool import POOL_SIZE
from tests.unit.logsim.produce import produce


def documents(count: int, **options: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    texts, labels = produce(count, format="json", **options)
    return [json.loads(text) for text in texts], labels


@pytest.mark.parametrize("incident", [False, True])
def test_a_request_keeps_its_ids_and_pods_through_the_services(incident: bool) -> None:
    records, _ = documents(4000, incident=incident)
    by_request: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_request[record["request_id"]].append(record)
    for group in by_request.values():
        assert len({(r["correlation_id"], r["user_id"]) for r in group}) == 1
        pods: dict[str, str] = {}
        for record in group:
            assert pods.setdefault(record["service"], record["pod"]) == record["pod"]
        orders = {o for r in group for o in re.findall(r"ord-\d+", r["message"])}
        assert len(orders) <= 1
    several = [g for g in by_request.values() if len({r["service"] for r in g}) >= 3]
    assert len(several) > len(by_request) / 10


def test_services_come_in_the_order_of_the_journey() -> None:
    records, _ = documents(4000, error_rate=0.0)
    paid = {r["request_id"] for r in records if "EUR paid" in r["message"]}
    charged = {r["request_id"]: i for i, r in enumerate(records) if "Charged" in r["message"]}
    assert paid
    checked = 0
    for index, record in enumerate(records):
        if "EUR paid" in record["message"] and record["request_id"] in charged:
            assert charged[record["request_id"]] < index
            checked += 1
    assert checked > 100


def test_a_caller_reports_the_request_that_failed() -> None:
    records, _ = documents(2000)
    failed = {r["request_id"]: r["service"] for r in records if r["level"] == "ERROR"}
    echoes = [r for r in records if r["level"] == "WARN" and "answered 503" in r["message"]]
    assert echoes
    for echo in echoes:
        assert failed[echo["request_id"]] == echo["message"].split()[0]
        assert echo["service"] != failed[echo["request_id"]]


def incident(
    error_rate: float = 0.3, seed: int = 5
) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], dict[str, Any]]:
    """The first incident: (record, label) pairs in order, and its summary."""
    records, labels = documents(1500, incident=True, error_rate=error_rate, seed=seed)
    summary = next(d for d in labels if d["kind"] == "incident")
    pairs = [
        (records[d["first_line"] - 1], d)
        for d in labels
        if d["kind"] == "record" and d["incident"] == summary["incident"]
    ]
    return pairs, summary


def test_an_incident_is_a_cascade_with_onset_and_recovery() -> None:
    pairs, summary = incident()
    assert summary["complete"]
    assert summary["root_cause"] == "db-pool-exhausted"
    assert summary["scenarios"] == [
        "db-pool-exhausted",
        "payment-gateway-timeout",
        "consumer-lag",
    ]
    phases = [label["phase"] for _, label in pairs]
    assert phases == sorted(phases, key=["onset", "cascade", "recovery"].index)
    assert set(phases) == {"onset", "cascade", "recovery"}
    errors = [label for _, label in pairs if label["level"] == "ERROR"]
    assert {label["phase"] for label in errors} == {"cascade"}
    first = {
        name: next(i for i, e in enumerate(errors) if e["scenario"] == name)
        for name in summary["scenarios"]
    }
    assert list(first.values()) == sorted(first.values())


def test_numbers_move_one_way_within_a_phase() -> None:
    pairs, _ = incident()
    waiting = [
        int(match[1])
        for record, label in pairs
        if label["level"] == "ERROR"
        and (match := re.search(r"(\d+) threads waiting", record["message"]))
    ]
    assert len(waiting) > 5
    assert waiting == sorted(waiting)
    active = {
        phase: [
            int(match[1])
            for record, label in pairs
            if label["phase"] == phase
            and (match := re.search(r"HikariPool-1 (\d+)/20 ", record["message"]))
        ]
        for phase in ("onset", "recovery")
    }
    assert active["onset"] == sorted(active["onset"])
    assert active["onset"][-1] == POOL_SIZE
    assert active["recovery"] == sorted(active["recovery"], reverse=True)
    lag = {
        phase: [
            int(match[1] or match[2])
            for record, label in pairs
            if label["phase"] == phase
            and (match := re.search(r"lag: (\d+) messages|at (\d+) messages", record["message"]))
        ]
        for phase in ("cascade", "recovery")
    }
    assert lag["cascade"] == sorted(lag["cascade"])
    assert lag["recovery"] == sorted(lag["recovery"], reverse=True)
    assert lag["cascade"][-1] > lag["recovery"][0]
    assert lag["recovery"][-1] == 0
    breaker = [r["message"] for r, _ in pairs if "Circuit breaker" in r["message"]]
    assert [m.split()[3].rstrip(":") for m in breaker] == ["OPEN", "HALF_OPEN", "CLOSED"]


def test_one_request_fails_in_several_services_and_recovers() -> None:
    pairs, _ = incident()
    by_request: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record, _label in pairs:
        by_request[record["request_id"]].append(record)
    told = [
        group
        for group in by_request.values()
        if {r["service"] for r in group if r["level"] == "ERROR"}
        == {"payment-api", "order-service", "notification-service"}
    ]
    assert len(told) >= 5
    for group in told:
        errors = [r["service"] for r in group if r["level"] == "ERROR"]
        assert errors == ["payment-api", "order-service", "notification-service"]
        assert any("EUR paid" in r["message"] for r in group)


def test_one_pod_of_each_service_is_hit() -> None:
    pairs, _ = incident()
    pods: dict[str, set[str]] = defaultdict(set)
    for record, _label in pairs:
        pods[record["service"]].add(record["pod"])
    assert all(len(names) == 1 for names in pods.values())


def test_an_incident_needs_only_errors() -> None:
    """With nothing but errors asked for, the cascade is told without its other levels."""
    records, labels = documents(400, incident=True, error_rate=1.0)
    assert {record["level"] for record in records} == {"ERROR"}
    assert any(label["incident"] for label in labels)
