"""api.json: where HTTP is served, who may use it, and its bounds."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints, model_validator

from shared.config.base import ConfigFile, Fault, refuse, setting

HostName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:\[\]-]{1,253}$")]


def is_loopback(host: str) -> bool:
    """Whether `host` (an IP address or "localhost") can only be reached from this machine."""
    return host == "localhost" or ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        is_loopback(host)
    except ValueError:
        return False
    return True


class ApiConfig(ConfigFile):
    """Where HTTP is served, who may use it, and its bounds."""

    host: str = setting(
        "127.0.0.1",
        max_length=64,
        allowed='an IP address or "localhost"',
        meaning="Address of health and control API; not loopback only with a token.",
        trouble="An address that this machine does not have: cannot bind.",
    )
    port: int = setting(
        8080,
        ge=0,
        le=65535,
        meaning="Port of health and control API; 0: any free one.",
        trouble="Taken: the next free one with port_fallback, else the start fails.",
    )
    metrics_host: str = setting(
        "127.0.0.1",
        max_length=64,
        allowed='an IP address or "localhost"',
        meaning="Address of /metrics; it is read-only and needs no token.",
        trouble="Prometheus on another host cannot reach loopback.",
    )
    metrics_port: int = setting(
        9090,
        ge=0,
        le=65535,
        meaning="Port of /metrics; 0: any free one.",
        trouble="Prometheus itself uses 9090: on its host choose another.",
    )
    port_fallback: bool = setting(
        True,
        meaning="A taken port: use the next free one, say so, and publish it.",
        trouble="false: a taken port stops the start.",
    )
    allowed_hosts: Annotated[tuple[HostName, ...], Field(max_length=64)] = setting(
        (),
        meaning="Further Host names that requests may carry, such as the machine's DNS name.",
        trouble="403 for a Host that is neither an address of the service nor listed.",
    )
    token: SecretStr | None = setting(
        None,
        secret=True,
        scope="live",
        min_length=16,
        max_length=4096,
        allowed="null or a string of at least 16 characters",
        meaning="Bearer token that every change needs; better in token_file.",
        trouble="401 without it. A world-readable file that holds one is refused.",
    )
    token_file: str | None = setting(
        None,
        scope="live",
        pattern=r"^/",
        max_length=4096,
        allowed="null or an absolute path",
        meaning="File whose first line is the token; mode 0600 or 0640.",
        trouble="Missing, empty, or readable by all: refused.",
    )
    max_request_bytes: int = setting(
        1 << 20,
        ge=1024,
        le=64 << 20,
        meaning="Largest request body in bytes.",
        trouble="413 beyond it.",
    )
    task_queue_max: int = setting(
        10_000,
        ge=1,
        le=10_000_000,
        meaning="Accepted tasks that may wait.",
        trouble="429 with Retry-After beyond it.",
    )

    @model_validator(mode="after")
    def _rules(self) -> ApiConfig:
        faults = [
            Fault((field,), 'must be an IP address or "localhost"')
            for field in ("host", "metrics_host")
            if not _is_address(getattr(self, field))
        ]
        if self.token is not None and self.token_file is not None:
            faults.append(Fault(("token_file",), "must be null when token is given"))
        no_token = self.token is None and self.token_file is None
        if not faults and no_token and not is_loopback(self.host):
            faults.append(
                Fault(
                    ("host",),
                    "must be a loopback address unless a token is configured",
                    "set token_file, or bind 127.0.0.1 and put a proxy in front",
                )
            )
        if self.port == self.metrics_port != 0 and self.host == self.metrics_host:
            faults.append(Fault(("metrics_port",), "must differ from port"))
        if faults:
            refuse(*faults)
        return self
