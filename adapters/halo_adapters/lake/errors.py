"""What the errors of a lake mean to a user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from halo_engine.errors import (
    AdapterError,
    NotFound,
    Rejected,
    StorageError,
    Unauthorized,
    Unavailable,
)
from halo_engine.schema import Failure

PLATFORM = "lake"
# Errors of S3 have it in their message.
AWS = "AWS Error"
KEYS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role"
)
NO_BUCKET = NotFound, "There is no such bucket. Create it, or correct its name."
OTHER_REGION = Rejected, "The bucket is in another region: set AWS_REGION to its own."
# A part of what S3 says, without its underscores -> the kind of error, and what to do.
REMEDIES: dict[str, tuple[type[AdapterError], str]] = {
    "NOSUCHBUCKET": NO_BUCKET,
    "' NOT FOUND": NO_BUCKET,
    "ACCESSDENIED": (
        Unauthorized,
        f"Access is denied: there are no credentials, or they may not do this. {KEYS}, with the "
        "permission to list, read, write and delete objects there.",
    ),
    "INVALIDACCESSKEYID": (Unauthorized, f"The key is not known there. {KEYS}."),
    "SIGNATUREDOESNOTMATCH": (Unauthorized, f"The secret is not that of the key. {KEYS}."),
    "EXPIREDTOKEN": (Unauthorized, f"The session has expired: log in again. {KEYS}."),
    "STATUS 301": OTHER_REGION,
    "AUTHORIZATIONHEADERMALFORMED": OTHER_REGION,
    "NETWORKCONNECTION": (
        Unavailable,
        "There is no connection. Check the network, and endpoint_url (AWS_ENDPOINT_URL_S3) where it "
        "is no bucket of Amazon's.",
    ),
}


@contextmanager
def lake_errors(location: str) -> Iterator[None]:
    """Raise an ``OSError`` of the files of the lake ``location`` as an ``AdapterError``.

    One of a disk becomes a ``StorageError``.
    """
    try:
        yield
    except OSError as error:
        raise error_of(location, error) from error


def require_reachable(location: str, error: Exception) -> None:
    """Raise what ``error``, of reading a part, says of the bucket, if that is what it is about."""
    if AWS in str(error) and isinstance(error, OSError) and not is_gone(error):
        raise error_of(location, error) from error


def is_gone(error: Exception) -> bool:
    """Whether a file is not there any more."""
    return isinstance(error, FileNotFoundError) or "NO_SUCH_KEY" in str(error)


def unreadable_part(where: str, error: Exception, trace_ids: Sequence[str] = ()) -> Failure:
    """The failure of the part in the folder ``where``, of some of its traces or of all."""
    which = "The traces in this part of the lake"
    if trace_ids:
        others = " and others" if len(trace_ids) > 1 else ""
        which = f"{len(trace_ids)} of the traces in this part of the lake ({trace_ids[0]}{others})"
    why = "it is damaged, or of another version. Remove its folder, and pull again what it had."
    if isinstance(error, PermissionError):
        why = "this user may not read it. Change its rights, or read the lake as another user."
    what = f"{which} cannot be read: {why} ({error})"
    return Failure(stage="pull", where=where, what=what)


def error_of(location: str, error: OSError) -> AdapterError | StorageError:
    """What ``error`` means for the lake ``location``."""
    said = " ".join(str(error).split())
    if not location.startswith("s3://"):
        return StorageError(f"The lake {location} cannot be used: {said}. Check the folder.")
    words = said.upper().replace("_", "")
    for sign, (kind, remedy) in REMEDIES.items():
        if sign in words:
            return kind(f"{location}: {remedy} ({said})", platform=PLATFORM)
    return Unavailable(
        f"The lake {location} cannot be used now. Give the same command again. ({said})",
        platform=PLATFORM,
    )
