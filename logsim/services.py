"""The fleet: seven services, each with its version, language and pods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Language = Literal["java", "python"]


@dataclass(frozen=True, slots=True)
class Service:
    """One micro-service as it is deployed.

    `pods` are full pod names: deployment, replica-set hash and suffix, as Kubernetes builds them.
    `module` is the Java package or the Python package that the service's own code lives in.
    """

    name: str
    version: str
    language: Language
    module: str
    pods: tuple[str, ...]

    @property
    def label(self) -> str:
        """`service/vX.Y.Z`, as it stands in every text line."""
        return f"{self.name}/v{self.version}"


def _service(
    name: str, version: str, language: Language, module: str, replica_set: str, suffixes: str
) -> Service:
    pods = tuple(f"{name}-{replica_set}-{suffix}" for suffix in suffixes.split())
    return Service(name, version, language, module, pods)


PAYMENT = _service(
    "payment-api", "2.8.1", "java", "com.shopwave.payment", "7d9f8b6c54", "x2k4p m8wqz t6rvn"
)
ORDER = _service(
    "order-service", "3.4.2", "java", "com.shopwave.order", "6c8d4f7b95", "b5hnl k9xcd q2twm zr4vf"
)
AUTH = _service(
    "auth-service", "1.12.0", "java", "com.shopwave.auth", "58bfd9c7d6", "c7nxt h4lpw v9dkq"
)
INVENTORY = _service(
    "inventory-service",
    "2.3.7",
    "java",
    "com.shopwave.inventory",
    "84c6d5b9f7",
    "d8mzk g2vhx s6tqb",
)
NOTIFICATION = _service(
    "notification-service", "1.6.3", "python", "notification", "66d7c9f8b4", "f4wnr l7bxs"
)
PROFILE = _service(
    "user-profile-api", "4.1.0", "python", "profile_api", "74b5f6d8c9", "j6qvd n2ckt w8xhm"
)
ANALYTICS = _service(
    "analytics-engine", "5.0.2", "python", "analytics", "9f6b7d5c48", "p4zlx r8kmw"
)

SERVICES: tuple[Service, ...] = (
    PAYMENT,
    ORDER,
    AUTH,
    INVENTORY,
    NOTIFICATION,
    PROFILE,
    ANALYTICS,
)
