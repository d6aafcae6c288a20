"""The exceptions of this package, grouped by who can act on them.

    HaloError
      ConfigError            the user fixes it: names the setting and where it came from
      StorageError           a file of a run cannot be used: full disk, read-only, damaged, in use
      AdapterError           a platform refused or failed; carries platform, request and status
        Unauthorized         the key is missing, wrong, or may not do this
        NotFound             the project, trace or route is not there
        Rejected             the platform understood the request and refuses it
        RateLimited          transient: retried by the transport
        Unavailable          transient: retried by the transport
      EngineError            the analysis cannot continue
        BudgetExhausted      the next call could exceed a limit; the run ends with its results so far
        ModelFailed          a model cannot be used: wrong key, unknown name, rejected request
          ModelBusy          transient: retried by the model client
          PromptTooLong      the request exceeds the context window of the model
          RequestRefused     the provider understands the request and rejects it
          AnswerCut          the answer does not fit into the most tokens that the model can write
          AnswerWithheld     the model refuses, or a content filter withholds its answer
        SandboxLost          the sandbox session in which code ran has ended

One item that fails is a ``Failure`` record in the report; an exception means that the run, or
the step, cannot continue. Every message states what happened, where, and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class HaloError(Exception):
    """Base class of the exceptions that this package raises on purpose.

    ``is_partial``: a part of the work was done before, and is kept; the same call goes on from there.
    """

    is_partial = False

    def __reduce__(self) -> tuple[Callable[..., BaseException], tuple[object, ...], object]:
        """What another process gets: what the error holds, not a call that makes it."""
        return type(self).__new__, (type(self), *self.args), self.__dict__


@contextmanager
def noting_partial_work(is_begun: Callable[[], bool]) -> Iterator[None]:
    """Mark an error within the block as partial where ``is_begun``."""
    try:
        yield
    except HaloError as error:
        error.is_partial = error.is_partial or is_begun()
        raise


class ConfigError(HaloError):
    """A setting, an option or an argument is invalid; the user has to fix it."""


class StorageError(HaloError):
    """A file of a run cannot be read or written: the message names the file and the remedy.

    The disk is full, the folder is read-only, the file is damaged, another process is using it, or
    a newer version of the package wrote it.
    """


class AdapterError(HaloError):
    """A platform could not be read from or written to.

    ``platform`` is the adapter's name, ``request`` the method and path (never with credentials),
    ``status`` the HTTP status, or None when there was no answer. ``maybe_done``: a change was asked
    for, and the platform may have made it, since it has not said that it refuses.
    """

    def __init__(
        self,
        message: str,
        *,
        platform: str,
        request: str = "",
        status: int | None = None,
        maybe_done: bool = False,
    ) -> None:
        super().__init__(message)
        self.platform = platform
        self.request = request
        self.status = status
        self.maybe_done = maybe_done


class Unauthorized(AdapterError):
    """The platform rejects the credentials (HTTP 401), or they lack a permission (HTTP 403)."""


class NotFound(AdapterError):
    """The requested project, trace or route does not exist on the platform (HTTP 404)."""


class Rejected(AdapterError):
    """The platform understood the request and rejects it; a retry will not help."""


class RateLimited(AdapterError):
    """The platform limits the request rate (HTTP 429).

    ``retry_after`` is the delay in seconds that the platform requests, None if it names none.
    """

    def __init__(
        self,
        message: str,
        *,
        platform: str,
        request: str = "",
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, platform=platform, request=request, status=status)
        self.retry_after = retry_after


class Unavailable(AdapterError):
    """No response, or a server error of the platform (HTTP 5xx); a later retry may help."""


class EngineError(HaloError):
    """The analysis, or one step of it, cannot continue."""


class BudgetExhausted(EngineError):
    """The next model call could exceed a limit of the budget, so it was not made."""


class ModelFailed(EngineError):
    """A model call failed; except for ``ModelBusy``, a retry of the same request fails too.

    ``maybe_billed``: the provider may have processed the request, so its cost has to be counted.
    """

    def __init__(self, message: str, *, maybe_billed: bool = False) -> None:
        super().__init__(message)
        self.maybe_billed = maybe_billed


class ModelBusy(ModelFailed):
    """A model call failed for now; a later retry may help.

    ``retry_after`` is the delay in seconds that the provider requests, None if it names none.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, maybe_billed: bool = False
    ) -> None:
        super().__init__(message, maybe_billed=maybe_billed)
        self.retry_after = retry_after


class PromptTooLong(ModelFailed):
    """The request exceeds the context window of the model."""


class RequestRefused(ModelFailed):
    """The provider rejects the request as it is, such as for a parameter out of range."""


class AnswerCut(ModelFailed):
    """An answer was cut at ``max_tokens``, and more room is not to be had; ``text`` is its start."""

    def __init__(self, message: str, *, text: str, max_tokens: int) -> None:
        super().__init__(message)
        self.text = text
        self.max_tokens = max_tokens


class AnswerWithheld(ModelFailed):
    """The model refuses to answer, or a content filter withholds the prompt or the answer."""


class SandboxLost(EngineError):
    """The sandbox session in which code ran has ended; the variables of that code are lost."""
