"""The requests that the adapter makes of a Langfuse server, one method each.

What is read and written in bulk goes over plain HTTP: the models of the ``langfuse`` package cost
more time than the transfer, and its score queue loses what fails. Its client serves the small
calls: projects, score configs, comments.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import orjson

from halo_adapters.base import OnWait
from halo_adapters.langfuse.rate_limits import QuotaTransport
from halo_adapters.langfuse.settings import LangfuseSettings
from halo_adapters.transport.http import http_client, json_of
from halo_engine.errors import ConfigError, NotFound, Rejected, Unauthorized
from halo_engine.schema import FrozenModel

if TYPE_CHECKING:
    from langfuse.api.client import LangfuseAPI

PLATFORM = "Langfuse"
PUBLIC = "/api/public"
OBSERVATIONS = f"{PUBLIC}/v2/observations"
PAGE = 1000
LEGACY_PAGE = 100
SCORE_PAGE = 100
COMMENT_PAGE = 100

# What is sent there replaces what has the same id or name.
REPLACING = ("/scores", "/ingestion", "/v2/datasets", "/dataset-items")

# Since this version POST /scores takes a list; before it, only the ingestion endpoint does.
SCORE_LIST_VERSION = (4, 59)

Json = dict[str, Any]


class Project(FrozenModel):
    """The project that the keys belong to."""

    id: str
    name: str


class LangfuseClient:
    """A Langfuse server over HTTP, with the keys of one project."""

    def __init__(self, settings: LangfuseSettings, on_wait: OnWait | None = None) -> None:
        self.base_url = settings.base_url.rstrip("/")
        self._public_key, self._secret_key = keys_of(settings)
        self.http = http_client(
            self.base_url,
            platform=PLATFORM,
            headers={"authorization": basic(self._public_key, self._secret_key)},
            timeout=settings.timeout,
            retry_timeout=settings.retry_timeout,
            on_wait=on_wait,
            transport=QuotaTransport(httpx.HTTPTransport(), settings.plan, on_wait),
            non_idempotent=is_non_idempotent,
        )

    @cached_property
    def sdk(self) -> LangfuseAPI:
        """The typed client of the ``langfuse`` package, over our own connection.

        Not ``langfuse.Langfuse``: that would trace, and start threads.
        """
        from langfuse.api.client import LangfuseAPI

        return LangfuseAPI(
            base_url=self.base_url,
            username=self._public_key,
            password=self._secret_key,
            httpx_client=self.http,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Json:
        """The JSON object at ``path``."""
        found = json_of(self.http.get(path, params=params), PLATFORM)
        if not isinstance(found, dict):
            raise unknown_form(f"GET {path}")
        return found

    # -- server and project ----------------------------------------------------------------------

    @cached_property
    def version(self) -> tuple[int, ...]:
        """The server's version; raises ``Rejected`` for what does not look like Langfuse."""
        try:
            text = str(self.get(f"{PUBLIC}/health").get("version"))
            return tuple(int(part) for part in text.partition("-")[0].split(".")[:3])
        except (NotFound, ValueError) as error:
            raise Rejected(
                f"{self.base_url} does not answer like a Langfuse server. Set LANGFUSE_BASE_URL "
                f"to the address that you open in the browser, without a path.",
                platform=PLATFORM,
                request=f"GET {PUBLIC}/health",
            ) from error

    @property
    def takes_score_lists(self) -> bool:
        """Whether ``POST /scores`` takes a list."""
        return self.version >= SCORE_LIST_VERSION

    @cached_property
    def project(self) -> Project:
        """The project of the keys; raises ``Unauthorized`` where they open none."""
        try:
            found = self.sdk.projects.get().data
        except Unauthorized as error:
            raise self._locked_out(error) from error
        except NotFound as error:
            _ = self.version  # says it better where this is no Langfuse at all
            raise error
        if len(found) != 1:
            raise Unauthorized(
                f"The keys open {len(found)} projects at {self.base_url}: use the key pair of one "
                f"project (Project settings, API keys), not one of an organisation.",
                platform=PLATFORM,
            )
        return Project(id=found[0].id, name=found[0].name)

    def _locked_out(self, error: Unauthorized) -> Unauthorized:
        return Unauthorized(
            f"{error} Langfuse wants LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY of one project, "
            f"and LANGFUSE_BASE_URL of the region or server they were made on ({self.base_url} "
            f"now); keys of an organisation, and a public key alone, cannot read.",
            platform=PLATFORM,
            request=error.request,
            status=error.status,
        )

    # -- reading: the current endpoints ----------------------------------------------------------

    def has_observations_v2(self) -> bool:
        """Whether the server answers ``v2/observations``."""
        try:
            self.get(OBSERVATIONS, {"limit": 1, "fields": "core"})
        except NotFound:
            return False
        return True

    def observations(self, params: Mapping[str, Any]) -> tuple[list[Json], str | None, int]:
        """One page of observations, the cursor of the next, and the size of the page in bytes."""
        response = self.http.get(OBSERVATIONS, params=params)
        found = json_of(response, PLATFORM)
        try:
            return found["data"], found["meta"].get("cursor"), len(response.content)
        except (TypeError, KeyError) as error:
            raise unknown_form(f"GET {OBSERVATIONS}") from error

    def scores(self, params: Mapping[str, Any]) -> Iterator[Json]:
        """Scores with comment, metadata and subject."""
        asked = {"limit": SCORE_PAGE, "fields": "details,subject", **params}
        while True:
            page = self.get(f"{PUBLIC}/v3/scores", asked)
            yield from page["data"]
            cursor = page["meta"].get("cursor")
            if not cursor:
                return
            asked["cursor"] = cursor

    # -- reading: the legacy endpoints -----------------------------------------------------------

    def has_legacy(self) -> bool:
        """Whether the server answers the legacy endpoints."""
        try:
            self.get(f"{PUBLIC}/traces", {"limit": 1, "fields": "core"})
        except NotFound:
            return False
        return True

    def numbered(self, path: str, params: Mapping[str, Any]) -> Iterator[list[Json]]:
        """The ``data`` of every page of a legacy list, to the last."""
        number, pages = 1, 1
        while number <= pages:
            found = self.page(path, params, number)
            yield found["data"]
            number, pages = number + 1, found["meta"]["totalPages"]

    def page(self, path: str, params: Mapping[str, Any], number: int) -> Json:
        """One page of a legacy list: ``data`` and ``meta`` (totalItems, totalPages)."""
        limits = {"page": number, "limit": LEGACY_PAGE}
        return self.get(f"{PUBLIC}/{path}", {**params, **limits})

    def legacy_trace(self, trace_id: str) -> Json | None:
        """A whole trace with its observations and scores; None where there is none."""
        try:
            return self.get(f"{PUBLIC}/traces/{quote(trace_id, safe='')}")
        except NotFound:
            return None

    # -- comments --------------------------------------------------------------------------------

    def comments(self) -> Iterator[Json]:
        """All comments of the project."""
        number, pages = 1, 1
        while number <= pages:
            page = self.sdk.comments.get(page=number, limit=COMMENT_PAGE)
            yield from (comment.model_dump(by_alias=True, mode="json") for comment in page.data)
            number, pages = number + 1, page.meta.total_pages

    # -- writing ---------------------------------------------------------------------------------

    def post_scores(self, scores: Sequence[Json]) -> Json:
        """Write scores in the list form; the counts and errors of a partial success, else {}."""
        response = self._post(f"{PUBLIC}/scores", list(scores))
        return json_of(response, PLATFORM) if response.status_code == 207 else {}

    def ingest(self, events: Sequence[Json]) -> Json:
        """Send ingestion events; ``successes`` and ``errors``, each with the event's id."""
        found: Json = json_of(self._post(f"{PUBLIC}/ingestion", {"batch": list(events)}), PLATFORM)
        return found

    def _post(self, path: str, body: Any) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return self.http.post(path, content=orjson.dumps(body), headers=headers)

    def delete_score(self, score_id: str) -> None:
        """Have a score deleted, some seconds later; none there is fine."""
        self.http.delete(f"{PUBLIC}/scores/{quote(score_id, safe='')}")


def keys_of(settings: LangfuseSettings) -> tuple[str, str]:
    """Public and secret key; ``ConfigError`` where one is missing."""
    if not settings.public_key or not settings.secret_key:
        raise ConfigError(
            "Langfuse wants a key pair: set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY (in "
            "Langfuse: Project settings, API keys), or choose a --profile of halo.toml."
        )
    return settings.public_key, settings.secret_key.get_secret_value()


def is_non_idempotent(request: httpx.Request) -> bool:
    """Whether this, sent twice, would be there twice: a comment, a queue or its item, a config."""
    return request.method == "POST" and not request.url.path.endswith(REPLACING)


def basic(user: str, password: str) -> str:
    """HTTP Basic authorisation."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def unknown_form(request: str) -> Rejected:
    """An answer that is none of Langfuse's."""
    return Rejected(
        f"The answer to {request} has not the form that Langfuse's answers have. Is the server "
        f"newer than this package, or something else in between?",
        platform=PLATFORM,
        request=request,
    )
