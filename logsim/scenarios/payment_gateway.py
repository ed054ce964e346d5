"""Payment gateway timeout: the provider, or payment-api in front of it, does not answer in time."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error
from logsim.services import ORDER, PAYMENT
from logsim.traces.java import Thrown
from logsim.traces.java_frames import ASYNC_SUPPLY, EXECUTOR, SOCKET_READ

READ_TIMEOUT_MS = 2500
ATTEMPTS = 3
CALLS = 50


def failed_calls(pressure: float) -> int:
    """How many of the last CALLS calls have failed."""
    return 5 + int(pressure * (CALLS - 5))


def draw(random: Random, request: Request, pressure: float, _now_ms: int) -> Values:
    overhead = 3 + random.getrandbits(5)
    failed = failed_calls(pressure)
    return {
        "limit_ms": READ_TIMEOUT_MS,
        "attempts": ATTEMPTS,
        "elapsed_ms": ATTEMPTS * READ_TIMEOUT_MS + overhead,
        "amount": request.amount,
        "order": request.order_id,
        "failed": failed,
        "calls": CALLS,
        "failed_percent": failed * 100 // CALLS,
    }


_MESSAGE = (
    "Payment gateway timeout: no answer after %(attempts)d attempts of %(limit_ms)d ms "
    "(%(elapsed_ms)d ms in all) for order %(order)s"
)


def _details(gateway: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Gateway", gateway),
        ("Order", "%(order)s, %(amount)s EUR"),
        ("Read timeout", "%(limit_ms)d ms, %(attempts)d attempts, %(elapsed_ms)d ms elapsed"),
        (
            "Circuit breaker",
            "%(failed)d of the last %(calls)d calls failed (%(failed_percent)d %%)",
        ),
    )


_READ_TIMED_OUT = "java.net.SocketTimeoutException"

SCENARIO = Scenario(
    name="payment-gateway-timeout",
    code="PAYMENT_GATEWAY_TIMEOUT",
    title="Payment gateway timeout",
    draw=draw,
    templates=(
        java_error(
            PAYMENT,
            logger="gateway.CardGatewayClient",
            thread="gateway-io-4",
            message=_MESSAGE,
            details=_details("https://gateway.cardbridge.example/v3/charges"),
            recovery=(
                "Charge marked PENDING and queued for reconciliation; a second charge is "
                "prevented by the idempotency key"
            ),
            chain=(
                Thrown(
                    "com.shopwave.payment.gateway.GatewayTimeoutException",
                    "cardbridge did not answer within %(limit_ms)d ms "
                    "(attempt %(attempts)d of %(attempts)d)",
                    (
                        (
                            "com.shopwave.payment.gateway.CardGatewayClient.charge"
                            "(CardGatewayClient.java:118)"
                        ),
                        (
                            "com.shopwave.payment.charge.ChargeService.authorise"
                            "(ChargeService.java:83)"
                        ),
                        (
                            "com.shopwave.payment.charge.ChargeEndpoint.lambda$submit$2"
                            "(ChargeEndpoint.java:91)"
                        ),
                        *ASYNC_SUPPLY,
                    ),
                ),
                Thrown(
                    "org.springframework.web.client.ResourceAccessException",
                    "I/O error on POST request for "
                    '"https://gateway.cardbridge.example/v3/charges": Read timed out',
                    (
                        (
                            "org.springframework.web.client.RestTemplate.createResourceAccessException"
                            "(RestTemplate.java:915)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.doExecute"
                            "(RestTemplate.java:895)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.execute"
                            "(RestTemplate.java:790)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.postForEntity"
                            "(RestTemplate.java:511)"
                        ),
                        (
                            "com.shopwave.payment.gateway.CardGatewayClient.charge"
                            "(CardGatewayClient.java:104)"
                        ),
                    ),
                ),
                Thrown(
                    _READ_TIMED_OUT,
                    "Read timed out",
                    (
                        *SOCKET_READ,
                        (
                            "java.base/sun.security.ssl.SSLSocketInputRecord.read"
                            "(SSLSocketInputRecord.java:489)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.doExecute"
                            "(RestTemplate.java:889)"
                        ),
                    ),
                    wrapped_in=2,
                ),
            ),
        ),
        java_error(
            ORDER,
            logger="checkout.PaymentStep",
            thread="checkout-2",
            message=_MESSAGE,
            details=_details("http://payment-api:8080/v2/charges"),
            recovery="Order kept in PAYMENT_PENDING; saga compensation starts after 15 min",
            chain=(
                Thrown(
                    "com.shopwave.order.checkout.PaymentUnavailableException",
                    "payment-api gave no answer for order %(order)s after %(elapsed_ms)d ms",
                    (
                        "com.shopwave.order.checkout.PaymentStep.charge(PaymentStep.java:71)",
                        "com.shopwave.order.checkout.CheckoutSaga.advance(CheckoutSaga.java:142)",
                        (
                            "com.shopwave.order.checkout.CheckoutSaga.lambda$start$1"
                            "(CheckoutSaga.java:96)"
                        ),
                        *EXECUTOR,
                    ),
                ),
                Thrown(
                    "feign.RetryableException",
                    "Read timed out executing POST http://payment-api:8080/v2/charges",
                    (
                        "feign.FeignException.errorExecuting(FeignException.java:277)",
                        (
                            "feign.SynchronousMethodHandler.executeAndDecode"
                            "(SynchronousMethodHandler.java:110)"
                        ),
                        "feign.SynchronousMethodHandler.invoke(SynchronousMethodHandler.java:70)",
                        (
                            "feign.ReflectiveFeign$FeignInvocationHandler.invoke"
                            "(ReflectiveFeign.java:99)"
                        ),
                        "jdk.proxy2/jdk.proxy2.$Proxy171.charge(Unknown Source)",
                        "com.shopwave.order.checkout.PaymentStep.charge(PaymentStep.java:63)",
                    ),
                ),
                Thrown(
                    _READ_TIMED_OUT,
                    "Read timed out",
                    (
                        *SOCKET_READ,
                        "feign.Client$Default.convertResponse(Client.java:111)",
                        "feign.Client$Default.execute(Client.java:107)",
                        (
                            "feign.SynchronousMethodHandler.executeAndDecode"
                            "(SynchronousMethodHandler.java:100)"
                        ),
                    ),
                    wrapped_in=2,
                ),
            ),
        ),
    ),
)
