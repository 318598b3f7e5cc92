"""What can go wrong when talking to the API server, as one small tree.

    KubeError
      CredentialsError            nothing usable to log in with
      FencedError                 this process may not write now
      UnreachableError            no answer
        WatchStalledError         a watch went silent
      ApiError                    an answer that says no
        UnauthorizedError 401, ForbiddenError 403, NotFoundError 404, InvalidError 422, TooManyRequestsError 429
        ConflictError 409         someone else's write or field; a precondition does not hold
          AlreadyExistsError      the name is taken
        GoneError 410             the resourceVersion or continue token is too old
        ServerError 5xx

The reasons are those of Kubernetes' `metav1.StatusReason`.
"""

from collections.abc import Mapping
from typing import Any, Final

from conch.kube.resources import KubeObject

_SHOWN_CHARACTERS: Final = 500  # the API server may quote whole objects
_UNKNOWN_FIELD: Final = "failed to create typed patch object"


class KubeError(Exception):
    """Anything that kept a request from succeeding."""


class CredentialsError(KubeError):
    """There is nothing usable to log in with; the message says what was tried."""


class FencedError(KubeError):
    """No write may leave this process now, usually because it is no longer the leader."""


class UnreachableError(KubeError):
    """No answer came. `sent` says whether the request may have reached the API server all the same."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class WatchStalledError(UnreachableError):
    """An open watch brought nothing for too long, not even a bookmark."""

    def __init__(self, message: str) -> None:
        super().__init__(message, sent=True)


class ApiError(KubeError):
    """The API server refused. `status` is the HTTP code; `details` is the Status object's, possibly empty."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after_seconds: float | None = None) -> None:
        self.status = status
        self.reason: str = body.get("reason") or ""
        self.message: str = body.get("message") or ""
        self.details: KubeObject = body.get("details") or {}
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{status} {self.reason}: {self.message[:_SHOWN_CHARACTERS]}")


class UnauthorizedError(ApiError):
    """401: the credentials are not accepted, also after they were read afresh."""


class ForbiddenError(ApiError):
    """403: a permission is missing, a quota is used up, or an admission rule says no."""


class NotFoundError(ApiError):
    """404: there is no such object, or the API server does not know the resource."""


class ConflictError(ApiError):
    """409: the object is not in the state that the request presumed, or it is another one (then 422)."""

    @property
    def field_conflicts(self) -> tuple[tuple[str, str], ...]:
        """For an apply without force: (field path, the API server's words on who owns it)."""
        causes = self.details.get("causes") or ()
        return tuple(
            (cause.get("field", ""), cause.get("message", ""))
            for cause in causes
            if cause.get("reason") == "FieldManagerConflict"
        )


class AlreadyExistsError(ConflictError):
    """409: the name is taken."""


class GoneError(ApiError):
    """410: what was asked to be continued is no longer known; list again."""


class InvalidError(ApiError):
    """422: the object breaks a rule of its schema; or, as 500, an apply names a field that there is not."""


class TooManyRequestsError(ApiError):
    """429: the API server is protecting itself, or a disruption budget forbids an eviction."""


class ServerError(ApiError):
    """5xx: the API server, or something that it asked, failed."""


_BY_STATUS: Final[Mapping[int, type[ApiError]]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    422: InvalidError,
    429: TooManyRequestsError,
}


def api_error(status: int, body: Mapping[str, Any], retry_after_seconds: float | None = None) -> ApiError:
    """The error for a refusal: by HTTP code, and where that is not enough by the Status object."""
    if status == 409 and body.get("reason") == "AlreadyExists":
        return AlreadyExistsError(status, body, retry_after_seconds)
    if status == 422 and _names_other_uid(body):
        return ConflictError(status, body, retry_after_seconds)
    if status == 500 and str(body.get("message")).startswith(_UNKNOWN_FIELD):
        return InvalidError(status, body, retry_after_seconds)
    cause = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)
    return cause(status, body, retry_after_seconds)


def _names_other_uid(body: Mapping[str, Any]) -> bool:
    """An apply to a UID whose name another object has now is refused as a change of the immutable `metadata.uid`."""
    causes = (body.get("details") or {}).get("causes") or ()
    return any(cause.get("field") == "metadata.uid" for cause in causes)
