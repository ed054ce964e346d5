"""HTTP client of the control API of one instance."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from shared.cli.errors import CommandError, RequestRefused, Unavailable
from shared.cli.folders import up_folder

if TYPE_CHECKING:
    from shared.config import Config

TIMEOUT_S: Final = 10.0
MAX_ANSWER_BYTES: Final = 64 << 20
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Answer(NamedTuple):
    """HTTP status and decoded JSON body."""

    status: int
    body: Any


class Client:
    """Talks to the Non-RT process of the instance that `config` names."""

    def __init__(self, config: Config, timeout_s: float = TIMEOUT_S) -> None:
        self._token = config.api_token
        self._timeout_s = timeout_s
        self.url = api_url(config)

    def get(self, path: str, **query: Any) -> Answer:
        """GET; any status is an answer. Raises Unavailable."""
        asked = {name: value for name, value in query.items() if value is not None}
        return self._request("GET", path + (f"?{urlencode(asked)}" if asked else ""), None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST; the body of a 2xx answer. Raises RequestRefused (with its text), Unavailable."""
        return self._checked(self._request("POST", path, body))

    def put(self, path: str, body: Mapping[str, Any]) -> Any:
        """PUT; as post."""
        return self._checked(self._request("PUT", path, body))

    def delete(self, path: str) -> Any:
        """DELETE; as post."""
        return self._checked(self._request("DELETE", path, {}))

    def fetch(self, path: str, **query: Any) -> Any:
        """GET of something that has to be there; as post."""
        return self._checked(self.get(path, **query))

    def _checked(self, answer: Answer) -> Any:
        if 200 <= answer.status < 300:
            return answer.body
        body = answer.body if isinstance(answer.body, dict) else {}
        title, detail = body.get("title", ""), body.get("detail", "")
        words = ": ".join(str(part) for part in (title, detail) if part)
        raise RequestRefused(words or "refused", answer.status)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        address = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "127.0.0.1", address.port, timeout=self._timeout_s
        )
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, body=data, headers=headers)
            response = connection.getresponse()
            raw = response.read(MAX_ANSWER_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"no answer from the Non-RT process at {self.url}: {error}: is it running? "
                "`mxrc up` starts it"
            ) from None
        finally:
            connection.close()
        try:
            return Answer(response.status, json.loads(raw) if raw else None)
        except ValueError:
            raise CommandError(f"{self.url}{path} did not answer with JSON: {raw[:80]!r}") from None


def api_url(config: Config) -> str:
    """Where the API is: as published in the segment or the endpoints file, else as configured."""
    host = _ANY_ADDRESS.get(config.api.host, config.api.host)
    port = ports(config).get("http", config.api.port)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def ports(config: Config) -> dict[str, int]:
    """Ports in force by name (http, metrics); {} when nothing is published."""
    found = _from_segment(config.instance_name)
    if found:
        return found
    for run_dir in (config.paths.run_dir, up_folder(config.instance, "run_dir")):
        try:
            text = (run_dir / f"{config.instance_name}.endpoints.json").read_text(encoding="utf-8")
            return _ports(json.loads(text))
        except (OSError, ValueError):
            continue
    return {}


def _from_segment(instance: str) -> dict[str, int]:
    from shared.core import MxrcError
    from shared.documents import read_nonrt_document
    from shared.segment import Segment

    try:
        with Segment.attach(instance) as segment:
            return _ports(read_nonrt_document(segment))
    except MxrcError:
        return {}


def _ports(document: Any) -> dict[str, int]:
    ports = document.get("ports") if isinstance(document, dict) else None
    if not isinstance(ports, dict):
        return {}
    return {name: port for name, port in ports.items() if isinstance(port, int)}
