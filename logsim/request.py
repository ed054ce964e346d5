"""A request on its way through the fleet: the ids and figures that all its lines agree on."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from logsim.services import Service

if TYPE_CHECKING:
    from logsim.stories.journeys import Step

# (sku, article, price in cents): what an order holds is one of these, so price and article agree.
CATALOGUE: tuple[tuple[str, str, int], ...] = (
    ("SKU-10442", "espresso machine", 24900),
    ("SKU-11873", "desk lamp", 3990),
    ("SKU-12096", "mechanical keyboard", 12950),
    ("SKU-13310", "office chair", 18900),
    ("SKU-14127", "noise-cancelling headphones", 27900),
    ("SKU-15588", "water bottle", 1995),
    ("SKU-16204", "running shoes", 10990),
    ("SKU-17961", "backpack", 7950),
)

# (sku, article, items, total in euros): every purchase that can be made, 1 to 4 of one article.
_PURCHASES = tuple(
    (sku, article, items, f"{cents * items // 100}.{cents * items % 100:02d}")
    for sku, article, cents in CATALOGUE
    for items in range(1, 5)
)


class Request:
    """Ids and business figures of one request; the same object is behind each of its lines.

    `figure` holds 64 random bits that messages draw their stable figures from, so that a value
    which appears twice in a story (an order's item count, say) is the same both times.
    `rendered` is the formatter's: the ids as they stand in each of the request's lines.
    """

    __slots__ = (
        "amount",
        "article",
        "correlation_id",
        "figure",
        "items",
        "order_id",
        "rendered",
        "request_id",
        "sku",
        "step",
        "steps",
        "trace_id",
        "user_id",
    )

    def __init__(self, random: Random, steps: tuple[Step, ...] = (), step: int = 0) -> None:
        digits = random.getrandbits(320).to_bytes(40, "little").hex()
        figure = random.getrandbits(64)
        self.request_id = f"req-{digits[:16]}"
        # RFC 9562: version 4, variant 10xx, of which 8 is one.
        self.correlation_id = (
            f"{digits[16:24]}-{digits[24:28]}-4{digits[28:31]}-8{digits[31:34]}-{digits[34:46]}"
        )
        # W3C trace context forbids an all-zero trace id; the leading 1 rules it out.
        self.trace_id = "1" + digits[46:77]
        low = figure & 0xFFFFFFFF
        self.user_id = f"usr-{100000 + low % 900000}"
        self.order_id = f"ord-{20000000 + (figure >> 22) % 70000000}"
        self.sku, self.article, self.items, self.amount = _PURCHASES[low % len(_PURCHASES)]
        self.figure = figure
        self.steps = steps
        self.step = step
        self.rendered = ""

    def pin(self, bits: int) -> None:
        """Serve the request on the pods that `bits` (24 of them) stand for."""
        self.figure = self.figure & ((1 << 40) - 1) | bits << 40

    def pod(self, service: Service) -> str:
        """The pod of `service` that serves this request: always the same one."""
        return service.pods[(self.figure >> 40) % len(service.pods)]
