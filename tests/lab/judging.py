"""What holds of mxrc as services of systemd in every emulated machine, whatever else is checked."""

from __future__ import annotations

from typing import Any

VELOCITY_MAX = 2.0  # rad/s, of the first axis of the shipped robot.json


def judge_start(found: dict[str, Any]) -> None:
    assert "PREEMPT_RT" in found["kernel"]
    assert found["installed"]["status"] == 0, found["installed"]["output"]
    assert found["started"]["status"] == 0, found["started"]["output"] + found["journal"]
    assert found["running"]["state"] == "RUNNING", found["running"]
    assert found["ready"], found["journal"]


def judge_motion(found: dict[str, Any], kills: int, period_s: float, rounds: int) -> None:
    """Through a process image: continuous, no round lost or made twice."""
    motion = found["motion"]
    print(f"kills in motion: {motion}")
    assert found["task"]["status"] == "COMPLETED", found["task"]
    assert len(motion["outages"]) == len(found["rounds"]) == kills
    assert [one["restarts"] for one in found["rounds"]] == [1] * kills
    assert all(outage["step"] <= VELOCITY_MAX * period_s for outage in motion["outages"])
    assert any(outage["speed"] > 0.1 for outage in motion["outages"]), "all at rest"
    assert motion["held"] >= kills, "the plant's watchdog holds the arm meanwhile"
    assert motion["fastest"] <= VELOCITY_MAX * 1.001
    assert motion["backwards"] == 0
    assert motion["rounds"] == rounds
    assert found["journal"].count("Recovered from the state block") >= kills
