"""The requests that the adapter makes to a Langfuse server, one method each.

Projects, observations, traces and scores go over plain HTTP: the models of the ``langfuse`` package
take more time than the transfer, and its score queue drops what fails. Score configs, comments,
annotation queues and datasets go through its typed client, over our own HTTP client.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar
from urllib.parse import quote

import httpx
import orjson
from pydantic import ValidationError

from halo_adapters.base import OnWait, Project
from halo_adapters.json_values import JsonObject
from halo_adapters.langfuse.rate_limits import QuotaTransport
from halo_adapters.langfuse.raw_observations import RawObservation, observations_in
from halo_adapters.langfuse.settings import LangfuseSettings
from halo_adapters.transport.client import http_client, http_transport
from halo_adapters.transport.divide import Divider
from halo_adapters.transport.errors import not_json, request_name, unknown_form
from halo_adapters.transport.json_answers import PARSE, json_body
from halo_adapters.transport.versions import Version, parse_version
from halo_engine.errors import ConfigError, NotFound, Rejected, Unauthorized

if TYPE_CHECKING:
    from langfuse.api.client import LangfuseAPI
    from langfuse.api.commons.types.dataset_item import DatasetItem
    from langfuse.api.commons.types.score_config import ScoreConfig

TITLE = "Langfuse"
PUBLIC = "/api/public"
OBSERVATIONS = f"{PUBLIC}/v2/observations"
PAGE = 1000
# The most that Langfuse's other lists allow on a page.
SMALL_PAGE = 100

# A POST to a path with one of these endings replaces what has the same id or name.
IDEMPOTENT_POSTS = ("/scores", "/ingestion", "/v2/datasets", "/dataset-items")

# The status of a query that is beyond the limits of the server, or that took it too long.
QUERY_TOO_LARGE = 422
ADVICE = (
    "Try a narrower --since, or --limit. Where there is a proxy in front of Langfuse, give it more "
    "time; LANGFUSE_API chooses the endpoints to read through."
)

# The first version whose POST /scores takes a list; before it, only the ingestion endpoint does.
SCORE_LIST_VERSION = (4, 59)
# The status of its answer where it refused some of them.
MULTI_STATUS = 207

P = ParamSpec("P")
T = TypeVar("T")


class CreatedItem(Protocol):
    """What the official client returns for something that was created."""

    id: str


class LangfuseClient:
    """A Langfuse server over HTTP, with the keys of one project."""

    def __init__(self, settings: LangfuseSettings, on_wait: OnWait | None = None) -> None:
        self.base_url = settings.base_url.rstrip("/")
        self._public_key, self._secret_key = key_pair(settings)
        self._retry_timeout = settings.retry_timeout
        self.http = http_client(
            self.base_url,
            platform=TITLE,
            headers={"authorization": basic_auth(self._public_key, self._secret_key)},
            timeout=settings.timeout,
            retry_timeout=settings.retry_timeout,
            on_wait=on_wait,
            transport=QuotaTransport(http_transport(), settings.plan, on_wait),
            is_non_idempotent=is_non_idempotent,
            key_settings="LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY",
        )

    def divider(self) -> Divider:
        """For requests that are divided where the server cannot answer for all at once."""
        return Divider(
            advice=ADVICE, retry_timeout=self._retry_timeout, statuses=(QUERY_TOO_LARGE,)
        )

    @cached_property
    def official(self) -> LangfuseAPI:
        """The typed client of the package ``langfuse``, over our own connection.

        Not ``langfuse.Langfuse``, which sets up tracing and starts threads.
        """
        from langfuse.api.client import LangfuseAPI

        return LangfuseAPI(
            base_url=self.base_url,
            username=self._public_key,
            password=self._secret_key,
            httpx_client=self.http,
        )

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> JsonObject:
        """The JSON object at ``path``."""
        found = json_body(TITLE, self.http.get(path, params=params))
        if not isinstance(found, dict):
            raise unknown_form(TITLE, f"GET {path}")
        return found

    def _call(self, method: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a method of the official client; an ``AdapterError`` for an unknown answer too."""
        from langfuse.api.core.api_error import ApiError

        try:
            return method(*args, **kwargs)
        except ApiError as error:  # all error statuses were raised below, in the transport
            raise not_json(TITLE, method.__qualname__, str(error.body)) from error
        except ValidationError as error:
            raise unknown_form(TITLE, method.__qualname__) from error

    def _call_for_all(self, listing: Callable[..., Any], *args: str) -> Iterator[Any]:
        """Every item of a list method of the official client."""

        def read(number: int) -> tuple[list[Any], int]:
            page = self._call(listing, *args, page=number, limit=SMALL_PAGE)
            return page.data, page.meta.total_pages

        for items in numbered_pages(read):
            yield from items

    # -- server and project ----------------------------------------------------------------------

    @cached_property
    def version(self) -> Version:
        """The server's version; raises ``Rejected`` where the server is not Langfuse."""
        try:
            return parse_version(str(self.get(f"{PUBLIC}/health").get("version")))
        except (NotFound, ValueError) as error:
            raise Rejected(
                f"{self.base_url} does not answer like a Langfuse server. Set LANGFUSE_BASE_URL "
                f"to the address that you open in the browser, without a path.",
                platform=TITLE,
                request=f"GET {PUBLIC}/health",
            ) from error

    @property
    def takes_score_lists(self) -> bool:
        """Whether ``POST /scores`` takes a list."""
        return self.version >= SCORE_LIST_VERSION

    @cached_property
    def project(self) -> Project:
        """The project of the keys; raises ``Unauthorized`` where they are not of one project."""
        path = f"{PUBLIC}/projects"
        try:
            found = answer_with(self.http.get(path), data=list)["data"]
        except Unauthorized as error:
            raise self._unauthorized(error) from error
        except NotFound as error:
            _ = self.version  # raises a clearer error where the server is not Langfuse
            raise error
        if len(found) != 1:
            raise Unauthorized(
                f"The keys open {len(found)} projects at {self.base_url}: use the key pair of one "
                f"project (Project settings, API keys), not one of an organisation.",
                platform=TITLE,
            )
        match found[0]:
            case {"id": str(project_id), "name": str(name)}:
                return Project(id=project_id, name=name)
        raise unknown_form(TITLE, f"GET {path}")

    def _unauthorized(self, error: Unauthorized) -> Unauthorized:
        return Unauthorized(
            f"{error} Langfuse needs LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY of one project, "
            f"and LANGFUSE_BASE_URL of the region or server they were made on ({self.base_url} "
            f"now); keys of an organisation, and a public key alone, cannot read.",
            platform=TITLE,
            request=error.request,
            status=error.status,
        )

    # -- reading: current endpoints --------------------------------------------------------------

    def has_observations_v2(self) -> bool:
        """Whether the server answers ``v2/observations``."""
        try:
            self.get(OBSERVATIONS, {"limit": 1, "fields": "core", "fromStartTime": just_now()})
        except NotFound:
            return False
        return True

    def observations(
        self, params: Mapping[str, Any]
    ) -> tuple[list[RawObservation], str | None, int]:
        """One page of observations, the cursor of the next, and the size of the page in bytes."""
        response = self.http.get(OBSERVATIONS, params=params, extensions={PARSE: observations_in})
        found, cursor = json_body(TITLE, response)
        return found, cursor, len(response.content)

    def observation_pages(
        self, params: Mapping[str, Any]
    ) -> Iterator[tuple[list[RawObservation], int]]:
        """Every page of observations, each with its size in bytes."""
        cursor: str | None = ""
        while cursor is not None:
            following = {"cursor": cursor} if cursor else {}
            rows, cursor, size = self.observations({**params, **following})
            yield rows, size

    def scores(self, params: Mapping[str, Any]) -> Iterator[JsonObject]:
        """Scores of ``v3/scores`` with comment, metadata and subject."""
        rows, cursor = self.scores_page(params)
        yield from rows
        while cursor:
            rows, cursor = self.scores_page({**params, "cursor": cursor})
            yield from rows

    def scores_page(self, params: Mapping[str, Any]) -> tuple[list[JsonObject], str | None]:
        """A page of them, and the cursor of the next."""
        request = {"limit": SMALL_PAGE, "fields": "details,subject", **params}
        page = answer_with(
            self.http.get(f"{PUBLIC}/v3/scores", params=request), data=list, meta=dict
        )
        return page["data"], page["meta"].get("cursor") or None

    # -- reading: legacy endpoints ---------------------------------------------------------------

    def has_legacy(self) -> bool:
        """Whether the server answers the legacy endpoints."""
        try:
            self.get(
                f"{PUBLIC}/traces", {"limit": 1, "fields": "core", "fromTimestamp": just_now()}
            )
        except NotFound:
            return False
        return True

    def legacy_pages(self, path: str, params: Mapping[str, Any]) -> Iterator[list[JsonObject]]:
        """The ``data`` of every page of a legacy list."""

        def read(number: int) -> tuple[list[JsonObject], int]:
            page = self.legacy_page(path, params, number)
            return page["data"], page["meta"]["totalPages"]

        return numbered_pages(read)

    def legacy_page(self, path: str, params: Mapping[str, Any], number: int) -> JsonObject:
        """One page of a legacy list: ``data`` and ``meta`` (totalItems, totalPages)."""
        limits = {"page": number, "limit": SMALL_PAGE}
        response = self.http.get(f"{PUBLIC}/{path}", params={**params, **limits})
        page = answer_with(response, data=list, meta=dict)
        if not isinstance(page["meta"].get("totalPages"), int):
            raise unknown_form(TITLE, f"GET {PUBLIC}/{path}")
        return page

    def legacy_trace(self, trace_id: str) -> JsonObject | None:
        """A whole trace with its observations and scores; None where there is none."""
        try:
            response = self.http.get(f"{PUBLIC}/traces/{quote(trace_id, safe='')}")
        except NotFound:
            return None
        return answer_with(response, id=str, observations=list)

    # -- scores: writing -------------------------------------------------------------------------

    def post_scores(self, scores: Sequence[JsonObject]) -> JsonObject:
        """Write scores in the list form; the counts and errors of a partial success, else {}."""
        response = self._post(f"{PUBLIC}/scores", list(scores))
        if response.status_code != MULTI_STATUS:
            return {}
        return answer_with(response, rejected=int, errors=list)

    def ingest(self, events: Sequence[JsonObject]) -> JsonObject:
        """Send ingestion events; ``successes`` and ``errors``, each with the event's id."""
        return answer_with(self._post(f"{PUBLIC}/ingestion", {"batch": list(events)}), errors=list)

    def _post(self, path: str, body: Any) -> httpx.Response:
        headers = {"content-type": "application/json"}
        return self.http.post(path, content=orjson.dumps(body), headers=headers)

    def delete_score(self, score_id: str) -> None:
        """Have a score deleted, which takes some seconds; no error where there is none."""
        self.http.delete(f"{PUBLIC}/scores/{quote(score_id, safe='')}")

    # -- score configs ---------------------------------------------------------------------------

    def score_configs(self) -> Iterator[ScoreConfig]:
        """All score configs of the project, archived ones included."""
        return self._call_for_all(self.official.score_configs.get)

    def create_score_config(self, name: str, labels: Sequence[str], description: str) -> None:
        """Create a config with ``labels`` as categories, of values from 1."""
        from langfuse.api.commons.types.config_category import ConfigCategory
        from langfuse.api.commons.types.score_config_data_type import ScoreConfigDataType

        self._call(
            self.official.score_configs.create,
            name=name,
            data_type=ScoreConfigDataType.CATEGORICAL,
            categories=[ConfigCategory(value=v, label=label) for v, label in enumerate(labels, 1)],
            description=description,
        )

    def archive_score_config(self, config_id: str, *, archived: bool) -> None:
        """Archive a score config, or restore an archived one."""
        self._call(self.official.score_configs.update, config_id, is_archived=archived)

    # -- comments --------------------------------------------------------------------------------

    def comments(self) -> Iterator[JsonObject]:
        """All comments of the project."""
        for comment in self._call_for_all(self.official.comments.get):
            yield comment.model_dump(by_alias=True, mode="json")

    def create_comment(self, trace_id: str, content: str) -> str:
        """Comment on a trace; returns the comment's id."""
        made: CreatedItem = self._call(
            self.official.comments.create,
            project_id=self.project.id,
            object_type="TRACE",
            object_id=trace_id,
            content=content,
        )
        return made.id

    # -- annotation queues -----------------------------------------------------------------------

    def queues(self) -> dict[str, str]:
        """The id of each annotation queue by its name."""
        found = self._call_for_all(self.official.annotation_queues.list_queues)
        return {queue.name: queue.id for queue in found}

    def create_queue(self, name: str, score_config_ids: list[str]) -> str:
        """Create an annotation queue; returns its id."""
        create = self.official.annotation_queues.create_queue
        made: CreatedItem = self._call(create, name=name, score_config_ids=score_config_ids)
        return made.id

    def queue_items(self, queue_id: str) -> dict[str, str]:
        """The id of each item of an annotation queue by the id of the trace in it."""
        found = self._call_for_all(self.official.annotation_queues.list_queue_items, queue_id)
        return {item.object_id: item.id for item in found}

    def create_queue_item(self, queue_id: str, trace_id: str) -> str:
        """Put a trace into an annotation queue; returns the item's id."""
        from langfuse.api.annotation_queues.types import AnnotationQueueObjectType

        create = self.official.annotation_queues.create_queue_item
        kind = AnnotationQueueObjectType.TRACE
        made: CreatedItem = self._call(create, queue_id, object_id=trace_id, object_type=kind)
        return made.id

    def is_reviewed(self, queue_id: str, item_id: str) -> bool:
        """Whether a person has completed an item of an annotation queue; False for none."""
        from langfuse.api.annotation_queues.types import AnnotationQueueStatus

        get = self.official.annotation_queues.get_queue_item
        try:
            return self._call(get, queue_id, item_id).status is AnnotationQueueStatus.COMPLETED
        except NotFound:
            return False

    def delete_queue_item(self, queue_id: str, item_id: str) -> None:
        """Remove an item from an annotation queue; raises ``NotFound`` where there is none."""
        self._call(self.official.annotation_queues.delete_queue_item, queue_id, item_id)

    # -- datasets --------------------------------------------------------------------------------

    def create_dataset(self, name: str) -> None:
        """Create a dataset, or update the one with this name."""
        self._call(self.official.datasets.create, name=name)

    def dataset_item(self, item_id: str) -> DatasetItem | None:
        """The dataset item with this id, or None."""
        try:
            found: DatasetItem = self._call(self.official.dataset_items.get, item_id)
        except NotFound:
            return None
        return found

    def write_dataset_item(self, dataset: str, item_id: str, fields: Mapping[str, Any]) -> str:
        """Create a dataset item, or update the one with this id; returns the id."""
        create = self.official.dataset_items.create
        made: CreatedItem = self._call(create, dataset_name=dataset, id=item_id, **fields)
        return made.id

    def delete_dataset_item(self, item_id: str) -> None:
        """Delete an item of a dataset; raises ``NotFound`` where there is none."""
        self._call(self.official.dataset_items.delete, item_id)


def answer_with(response: httpx.Response, **fields: type) -> JsonObject:
    """The JSON object of an answer; raises ``Rejected`` where it has not these fields."""
    found = json_body(TITLE, response)
    if isinstance(found, dict) and all(isinstance(found.get(n), t) for n, t in fields.items()):
        return found
    raise unknown_form(TITLE, request_name(response.request))


def numbered_pages(read: Callable[[int], tuple[list[T], int]]) -> Iterator[list[T]]:
    """The items of every page of a list whose pages are numbered from 1.

    ``read`` gives the items on a page, and how many pages there are now.
    """
    number, pages = 1, 1
    while number <= pages:
        items, pages = read(number)
        yield items
        number += 1


def just_now() -> str:
    """The beginning of a window that holds next to nothing: a question that is answered at once."""
    return (datetime.now(UTC) - timedelta(seconds=1)).isoformat(timespec="seconds")


def key_pair(settings: LangfuseSettings) -> tuple[str, str]:
    """Public and secret key; raises ``ConfigError`` where one is missing."""
    if not settings.public_key or not settings.secret_key:
        raise ConfigError(
            "Langfuse needs a key pair: set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY (in "
            "Langfuse: Project settings, API keys), or choose a --profile of halo.toml."
        )
    return settings.public_key, settings.secret_key.get_secret_value()


def is_non_idempotent(request: httpx.Request) -> bool:
    """Whether sending it twice would create two: comments, queues, queue items, score configs."""
    return request.method == "POST" and not request.url.path.endswith(IDEMPOTENT_POSTS)


def basic_auth(user: str, password: str) -> str:
    """The ``Authorization`` header of HTTP Basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
