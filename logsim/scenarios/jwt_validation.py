"""JWT validation failure: a bearer token that has expired longer ago than the clock skew allows."""

from __future__ import annotations

from datetime import datetime, timezone
from random import Random

from logsim.request import Request
from logsim.scenarios.base import Scenario, Values, java_error, python_error
from logsim.services import AUTH, PROFILE
from logsim.traces.java import Thrown
from logsim.traces.java_frames import EXECUTOR
from logsim.traces.python import library, own

SKEW_S = 30


def draw(random: Random, request: Request, pressure: float, now_ms: int) -> Values:
    now_s = now_ms // 1000
    late_s = SKEW_S + 1 + int(pressure * 1700) + random.getrandbits(5)
    return {
        "expired": _utc(now_s - late_s),
        "now": _utc(now_s),
        "late_s": late_s,
        "late_ms": late_s * 1000,
        "skew_s": SKEW_S,
        "skew_ms": SKEW_S * 1000,
        "kid": f"auth-2026-{1 + (request.figure >> 16) % 4:02d}",
        "subject": request.user_id,
    }


def _utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


_MESSAGE = (
    "JWT validation failure: token of %(subject)s expired %(late_s)d s ago "
    "(allowed clock skew %(skew_s)d s)"
)

_DETAILS = (
    ("Subject", "%(subject)s"),
    ("Key id", "%(kid)s (RS256)"),
    ("Expired at", "%(expired)s (%(late_s)d s ago)"),
    ("Clock skew", "%(skew_s)d s allowed"),
)

SCENARIO = Scenario(
    name="jwt-validation-failure",
    code="JWT_VALIDATION_FAILURE",
    title="JWT validation failure",
    draw=draw,
    templates=(
        java_error(
            AUTH,
            logger="token.TokenVerifier",
            thread="auth-exec-3",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Answered 401 with WWW-Authenticate: Bearer; refresh token stays valid",
            chain=(
                Thrown(
                    "com.shopwave.auth.token.TokenRejectedException",
                    "Bearer token rejected for %(subject)s",
                    (
                        "com.shopwave.auth.token.TokenVerifier.verify(TokenVerifier.java:94)",
                        "com.shopwave.auth.token.TokenService.introspect(TokenService.java:108)",
                        (
                            "com.shopwave.auth.token.IntrospectionEndpoint.lambda$handle$0"
                            "(IntrospectionEndpoint.java:44)"
                        ),
                        *EXECUTOR,
                    ),
                ),
                Thrown(
                    "io.jsonwebtoken.ExpiredJwtException",
                    "JWT expired at %(expired)s. Current time: %(now)s, a difference of "
                    "%(late_ms)d milliseconds.  Allowed clock skew: %(skew_ms)d milliseconds.",
                    (
                        "io.jsonwebtoken.impl.DefaultJwtParser.parse(DefaultJwtParser.java:427)",
                        "io.jsonwebtoken.impl.DefaultJwtParser.parse(DefaultJwtParser.java:529)",
                        (
                            "io.jsonwebtoken.impl.DefaultJwtParser.parseClaimsJws"
                            "(DefaultJwtParser.java:589)"
                        ),
                        (
                            "io.jsonwebtoken.impl.ImmutableJwtParser.parseClaimsJws"
                            "(ImmutableJwtParser.java:173)"
                        ),
                        "com.shopwave.auth.token.TokenVerifier.parse(TokenVerifier.java:122)",
                        "com.shopwave.auth.token.TokenVerifier.verify(TokenVerifier.java:87)",
                    ),
                ),
            ),
        ),
        java_error(
            AUTH,
            logger="oauth.BearerFilter",
            thread="auth-exec-8",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Answered 401; client asked to renew, no session was dropped",
            chain=(
                Thrown(
                    "org.springframework.security.oauth2.server.resource"
                    ".InvalidBearerTokenException",
                    "An error occurred while attempting to decode the Jwt: "
                    "Jwt expired at %(expired)s",
                    (
                        (
                            "org.springframework.security.oauth2.server.resource.authentication"
                            ".JwtAuthenticationProvider.getJwt(JwtAuthenticationProvider.java:104)"
                        ),
                        (
                            "org.springframework.security.oauth2.server.resource.authentication"
                            ".JwtAuthenticationProvider.authenticate"
                            "(JwtAuthenticationProvider.java:88)"
                        ),
                        (
                            "org.springframework.security.authentication.ProviderManager.authenticate"
                            "(ProviderManager.java:182)"
                        ),
                        (
                            "org.springframework.security.authentication.ProviderManager.authenticate"
                            "(ProviderManager.java:201)"
                        ),
                        "com.shopwave.auth.oauth.BearerFilter.authenticate(BearerFilter.java:66)",
                        (
                            "com.shopwave.auth.oauth.BearerFilter.lambda$filter$0"
                            "(BearerFilter.java:48)"
                        ),
                        *EXECUTOR,
                    ),
                ),
                Thrown(
                    "org.springframework.security.oauth2.jwt.JwtValidationException",
                    "An error occurred while attempting to decode the Jwt: "
                    "Jwt expired at %(expired)s",
                    (
                        (
                            "org.springframework.security.oauth2.jwt.NimbusJwtDecoder.validateJwt"
                            "(NimbusJwtDecoder.java:189)"
                        ),
                        (
                            "org.springframework.security.oauth2.jwt.NimbusJwtDecoder.decode"
                            "(NimbusJwtDecoder.java:138)"
                        ),
                        (
                            "org.springframework.security.oauth2.server.resource.authentication"
                            ".JwtAuthenticationProvider.getJwt(JwtAuthenticationProvider.java:97)"
                        ),
                    ),
                ),
            ),
        ),
        python_error(
            PROFILE,
            logger="security.bearer",
            message=_MESSAGE,
            details=_DETAILS,
            recovery="Answered 401; client asked to renew the token",
            frames=(
                library(
                    "uvicorn/protocols/http/httptools_impl.py",
                    419,
                    "run_asgi",
                    "result = await app(self.scope, self.receive, self.send)",
                ),
                library(
                    "fastapi/routing.py", 227, "app", "solved_result = await solve_dependencies("
                ),
                library(
                    "fastapi/dependencies/utils.py",
                    623,
                    "solve_dependencies",
                    "solved = await call(**sub_values)",
                ),
                own(
                    "profile_api/security/bearer.py",
                    51,
                    "current_user",
                    "claims = verify(credentials.credentials)",
                ),
                own(
                    "profile_api/security/bearer.py",
                    33,
                    "verify",
                    'return jwt.decode(token, key, algorithms=["RS256"], leeway=SKEW)',
                ),
                library("jwt/api_jwt.py", 210, "decode", "decoded = self.decode_complete("),
                library("jwt/api_jwt.py", 162, "decode_complete", "self._validate_claims("),
                library(
                    "jwt/api_jwt.py",
                    244,
                    "_validate_claims",
                    "self._validate_exp(payload, now, leeway)",
                ),
                library(
                    "jwt/api_jwt.py",
                    303,
                    "_validate_exp",
                    'raise ExpiredSignatureError("Signature has expired")',
                ),
            ),
            error_type="jwt.exceptions.ExpiredSignatureError",
            error_message="Signature has expired",
        ),
    ),
)
