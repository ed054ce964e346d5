"""External API rate limit: a provider answers 429 because the quota of the window is used up."""

from __future__ import annotations

from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error, python_error
from logsim.services import ANALYTICS, NOTIFICATION, PAYMENT
from logsim.traces.java import Thrown
from logsim.traces.java_frames import ASYNC_SUPPLY
from logsim.traces.python import library, own, stdlib

WINDOW_S = 60


def draw(random: Random, _request: Request, pressure: float, now_ms: int) -> Values:
    quota = (300, 600, 1000)[random.getrandbits(8) % 3]
    # What is left of the provider's fixed window, which starts on the minute.
    retry_after = WINDOW_S - now_ms // 1000 % WINDOW_S
    return {
        "quota": quota,
        "window_s": WINDOW_S,
        "rejected": 1 + int(pressure * 140),
        "retry_after_s": retry_after,
    }


_MESSAGE = (
    "External API rate limit: quota %(quota)d/%(quota)d used in the %(window_s)d s window, "
    "retry in %(retry_after_s)d s"
)


def _details(provider: str) -> tuple[tuple[str, str], ...]:
    return (
        ("Provider", provider),
        ("Quota", "%(quota)d requests per %(window_s)d s, used %(quota)d, remaining 0"),
        ("Retry after", "%(retry_after_s)d s"),
        ("Rejected in this window", "%(rejected)d"),
    )


SCENARIO = Scenario(
    name="api-rate-limit",
    code="API_RATE_LIMIT",
    title="External API rate limit",
    draw=draw,
    templates=(
        python_error(
            NOTIFICATION,
            logger="providers.mail",
            message=_MESSAGE,
            details=_details("https://api.mailgrid.example/v3/mail/send"),
            recovery="Message put back with a delay of %(retry_after_s)d s; token bucket resized",
            frames=(
                library(
                    "celery/app/trace.py", 451, "trace_task", "R = retval = fun(*args, **kwargs)"
                ),
                library(
                    "celery/app/trace.py",
                    734,
                    "__protected_call__",
                    "return self.run(*args, **kwargs)",
                ),
                library(
                    "celery/app/autoretry.py",
                    34,
                    "run",
                    "return task._orig_run(*args, **kwargs)",
                ),
                own(
                    "notification/tasks/mail.py",
                    41,
                    "send_order_mail",
                    "provider.send(render(template, context), recipient)",
                ),
                own("notification/providers/mail.py", 88, "send", "response = self._post(payload)"),
                own("notification/providers/mail.py", 64, "_post", "response.raise_for_status()"),
                library(
                    "requests/models.py",
                    1021,
                    "raise_for_status",
                    "raise HTTPError(http_error_msg, response=self)",
                ),
            ),
            thread="ForkPoolWorker-2",
            error_type="requests.exceptions.HTTPError",
            error_message=(
                "429 Client Error: Too Many Requests for url: "
                "https://api.mailgrid.example/v3/mail/send"
            ),
        ),
        python_error(
            ANALYTICS,
            logger="enrich.exchange_rates",
            thread="enrich-3",
            message=_MESSAGE,
            details=_details("https://rates.fxfeed.example/latest"),
            recovery="Last known rates used; batch marked provisional and redone in "
            "%(retry_after_s)d s",
            frames=(
                stdlib("threading.py", 973, "_bootstrap", "self._bootstrap_inner()"),
                stdlib("threading.py", 1016, "_bootstrap_inner", "self.run()"),
                stdlib("concurrent/futures/thread.py", 83, "_worker", "work_item.run()"),
                stdlib(
                    "concurrent/futures/thread.py",
                    58,
                    "run",
                    "result = self.fn(*self.args, **self.kwargs)",
                ),
                own(
                    "analytics/pipeline/runner.py", 132, "run_stage", "return stage.process(batch)"
                ),
                own(
                    "analytics/enrich/exchange_rates.py",
                    55,
                    "process",
                    "rates = self._client.latest(base)",
                ),
                library("tenacity/__init__.py", 326, "iter", "raise retry_exc.reraise()"),
                library("tenacity/__init__.py", 158, "reraise", "raise self.last_attempt.result()"),
                stdlib("concurrent/futures/_base.py", 451, "result", "return self.__get_result()"),
                stdlib("concurrent/futures/_base.py", 403, "__get_result", "raise self._exception"),
                library("tenacity/__init__.py", 382, "__call__", "result = fn(*args, **kwargs)"),
                own(
                    "analytics/enrich/exchange_rates.py",
                    37,
                    "latest",
                    "response.raise_for_status()",
                ),
                library(
                    "requests/models.py",
                    1021,
                    "raise_for_status",
                    "raise HTTPError(http_error_msg, response=self)",
                ),
            ),
            error_type="requests.exceptions.HTTPError",
            error_message=(
                "429 Client Error: Too Many Requests for url: https://rates.fxfeed.example/latest"
            ),
        ),
        java_error(
            PAYMENT,
            logger="fraud.FraudScreenClient",
            thread="payment-worker-2",
            message=_MESSAGE,
            details=_details("https://api.fraudscreen.example/v1/score"),
            recovery="Scored by the local rule set; remote score fetched again in "
            "%(retry_after_s)d s",
            chain=(
                Thrown(
                    "com.shopwave.payment.fraud.ScoreUnavailableException",
                    "fraudscreen refused the call: quota of %(quota)d per %(window_s)d s used up",
                    (
                        (
                            "com.shopwave.payment.fraud.FraudScreenClient.score"
                            "(FraudScreenClient.java:79)"
                        ),
                        (
                            "com.shopwave.payment.charge.ChargeService.authorise"
                            "(ChargeService.java:66)"
                        ),
                        (
                            "com.shopwave.payment.charge.ChargeEndpoint.lambda$submit$2"
                            "(ChargeEndpoint.java:91)"
                        ),
                        *ASYNC_SUPPLY,
                    ),
                ),
                Thrown(
                    "org.springframework.web.client.HttpClientErrorException$TooManyRequests",
                    "429 Too Many Requests on POST request for "
                    '"https://api.fraudscreen.example/v1/score": [no body]',
                    (
                        (
                            "org.springframework.web.client.HttpClientErrorException.create"
                            "(HttpClientErrorException.java:138)"
                        ),
                        (
                            "org.springframework.web.client.DefaultResponseErrorHandler.handleError"
                            "(DefaultResponseErrorHandler.java:183)"
                        ),
                        (
                            "org.springframework.web.client.DefaultResponseErrorHandler.handleError"
                            "(DefaultResponseErrorHandler.java:137)"
                        ),
                        (
                            "org.springframework.web.client.ResponseErrorHandler.handleError"
                            "(ResponseErrorHandler.java:63)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.handleResponse"
                            "(RestTemplate.java:942)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.doExecute"
                            "(RestTemplate.java:891)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.execute"
                            "(RestTemplate.java:790)"
                        ),
                        (
                            "org.springframework.web.client.RestTemplate.postForObject"
                            "(RestTemplate.java:470)"
                        ),
                        (
                            "com.shopwave.payment.fraud.FraudScreenClient.score"
                            "(FraudScreenClient.java:71)"
                        ),
                    ),
                ),
            ),
        ),
    ),
)
