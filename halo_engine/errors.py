"""The errors, split by who can act.

    HaloError
      ConfigError            the user mends it: names the setting and where it came from
      AdapterError           a platform refused or failed; carries platform, request and status
        Unauthorized         the key is missing, wrong, or may not do this
        NotFound             the project, trace or route is not there
        Rejected             the platform understood the request and refuses it
        RateLimited          transient, retried in one place
        Unavailable          transient, retried in one place
      EngineError            the analysis itself cannot go on
        BudgetSpent          the next call would pass a limit; the run ends with what it has
        ModelFailed          a model cannot be used: wrong key, unknown name, a refused request
          ModelBusy          transient, retried in one place
          PromptTooLong      the request is longer than the model takes
        SandboxLost          the session in which code ran is gone

One item that fails is a ``Failure`` record in the report; an exception means that the run, or
the step, cannot go on. Every text says what happened, where, and what to do.
"""

from __future__ import annotations


class HaloError(Exception):
    """Base of everything this package raises on purpose."""


class ConfigError(HaloError):
    """A setting, an option or an argument that its user must mend."""


class AdapterError(HaloError):
    """A platform could not be read from or written to.

    ``platform`` is the adapter's name, ``request`` the method and path (never with credentials),
    ``status`` the HTTP status, or None when there was no answer.
    """

    def __init__(
        self, message: str, *, platform: str, request: str = "", status: int | None = None
    ) -> None:
        super().__init__(message)
        self.platform = platform
        self.request = request
        self.status = status


class Unauthorized(AdapterError):
    """The platform does not accept the credentials, or they may not do this."""


class NotFound(AdapterError):
    """What was asked for does not exist on the platform."""


class Rejected(AdapterError):
    """The platform understood the request and refuses it; trying again will not help."""


class RateLimited(AdapterError):
    """The platform asks to slow down; ``retry_after`` is its wish in seconds, if it named one."""

    retry_after: float | None = None


class Unavailable(AdapterError):
    """No answer, or the platform is failing; trying again later may help."""


class EngineError(HaloError):
    """The analysis cannot go on."""


class BudgetExhausted(EngineError):
    """The next call could pass a limit of the budget, so it was not made."""


class ModelFailed(EngineError):
    """A model gave no answer and will not give one to the same request."""


class ModelBusy(ModelFailed):
    """A model gave no answer now; trying again later may help.

    ``retry_after`` is the provider's wish in seconds, if it named one. ``maybe_billed`` says that
    the request may have been worked on, so that it has to count as paid for.
    """

    def __init__(
        self, message: str, *, retry_after: float | None = None, maybe_billed: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.maybe_billed = maybe_billed


class PromptTooLong(ModelFailed):
    """The request is longer than the model takes."""


class SandboxLost(EngineError):
    """The worker in which code ran is gone, and with it what the code had computed."""
