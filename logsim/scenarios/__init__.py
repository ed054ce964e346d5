"""The eight error scenarios, one module each; `SCENARIOS` lists them and `by_name` finds one."""

from __future__ import annotations

from logsim.scenarios import (
    cache_node,
    consumer_lag,
    database_pool,
    inventory_lock,
    jwt_validation,
    out_of_memory,
    payment_gateway,
    rate_limit,
)
from logsim.scenarios.base import ErrorTemplate, Scenario, Values

__all__ = ["SCENARIOS", "ErrorTemplate", "Scenario", "Values", "by_name"]

SCENARIOS: tuple[Scenario, ...] = (
    database_pool.SCENARIO,
    payment_gateway.SCENARIO,
    cache_node.SCENARIO,
    rate_limit.SCENARIO,
    jwt_validation.SCENARIO,
    inventory_lock.SCENARIO,
    consumer_lag.SCENARIO,
    out_of_memory.SCENARIO,
)

by_name: dict[str, Scenario] = {scenario.name: scenario for scenario in SCENARIOS}
