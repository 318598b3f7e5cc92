"""How Conch logs in: a kubeconfig, or the service account of the pod it runs in.

The `kubernetes` package reads the credentials (tokens, client certificates, exec plugins, OIDC). They become
`aiohttp.ClientSession`s over one pool of connections, whose middleware reads rotated tokens and certificates again:
every minute, and at once when the API server answers 401.
"""

import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

from conch.kube.errors import CredentialsError

logger = logging.getLogger(__name__)

SERVICE_ACCOUNT_FOLDER: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_REFRESH_SECONDS: Final = 60.0
# One object may be 1.5 MiB in etcd, and Kopf reads each event of a watch as one line.
_LINE_BYTES: Final = 2 * 1024 * 1024
_IDLE_CONNECTION_SECONDS: Final = 60.0


class CredentialSource(Protocol):
    """Where credentials come from; each call fills the configuration with what is valid now."""

    async def load(self, configuration: Configuration, *, rejected: bool) -> None:
        """`rejected`: the API server refuses what is there, so nothing remembered may be used again."""

    def default_namespace(self) -> str | None:
        """The namespace to work in when none is said."""


class ServiceAccount:
    """The service account mounted into a pod. Its token is rotated by the kubelet in place."""

    def __init__(self, folder: Path = SERVICE_ACCOUNT_FOLDER, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._environment = environment

    async def load(self, configuration: Configuration, *, rejected: bool) -> None:  # noqa: ARG002 - read afresh always
        """See `CredentialSource`."""
        loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
            token_filename=str(self._folder / "token"),
            cert_filename=str(self._folder / "ca.crt"),
            try_refresh_token=False,
            environ=self._environment,
        )
        loader.load_and_set(configuration)  # type: ignore[no-untyped-call]

    def default_namespace(self) -> str | None:
        """See `CredentialSource`."""
        return (self._folder / "namespace").read_text().strip()


class Kubeconfig:
    """One context of the kubeconfig at `path`, or $KUBECONFIG, or ~/.kube/config; paths joined by `:` are merged."""

    def __init__(self, path: str | None = None, context: str | None = None) -> None:
        self._path = path or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        self._context = context
        self._loader: Any = None

    async def load(self, configuration: Configuration, *, rejected: bool) -> None:
        """See `CredentialSource`. A loader that is kept runs an exec plugin only when its last token expires."""
        if self._loader is not None and not rejected:
            await self._loader.load_and_set(configuration)
            return
        self._require_file()
        self._loader = await load_kube_config(  # type: ignore[no-untyped-call]
            self._path, self._context, client_configuration=configuration, persist_config=False
        )

    def default_namespace(self) -> str | None:
        """See `CredentialSource`."""
        namespace: str | None = self._loader.current_context["context"].get("namespace")
        return namespace

    def _require_file(self) -> None:
        if not any(Path(path).expanduser().exists() for path in self._path.split(os.pathsep)):
            raise CredentialsError(f"there is no kubeconfig at {self._path}")


@dataclass(frozen=True, slots=True)
class Login:
    """A session that logs in by itself, and where to; both end with the context of `login`.

    `new_session` makes another over the same connections for someone who will close it: Kopf closes the session it
    is given when it stops, long before the last write and the Lease's release are out.
    """

    session: aiohttp.ClientSession
    server: str
    default_namespace: str | None
    new_session: Callable[[], aiohttp.ClientSession]


def find_credentials(path: str | None = None, context: str | None = None) -> CredentialSource:
    """A kubeconfig that is named, by the caller or $KUBECONFIG; else the pod's service account; else ~/.kube/config."""
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and (SERVICE_ACCOUNT_FOLDER / "token").exists()
    named = path or context or os.environ.get("KUBECONFIG")
    return ServiceAccount() if in_pod and not named else Kubeconfig(path, context)


@asynccontextmanager
async def login(source: CredentialSource) -> AsyncIterator[Login]:
    """A logged-in session. Raises `CredentialsError` when the source has nothing usable."""
    authentication = _Authentication(source)
    await authentication.refresh(rejected=False)
    configuration = authentication.configuration

    def new_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            headers={"User-Agent": f"conch/{version('conch')}"},
            middlewares=(authentication,),
            proxy=configuration.proxy,
            read_bufsize=_LINE_BYTES,
            trust_env=True,
        )

    async with (
        aiohttp.TCPConnector(
            ssl=authentication.tls or True,
            limit=0,  # callers are bounded by their workers; a limit would let idle watches starve writes
            keepalive_timeout=_IDLE_CONNECTION_SECONDS,
        ) as connector,
        new_session() as session,
    ):
        yield Login(session, configuration.host, source.default_namespace(), new_session)


class _Authentication:
    """An aiohttp client middleware that signs requests and keeps the credentials fresh."""

    def __init__(self, source: CredentialSource) -> None:
        self.configuration = Configuration()
        self.tls: ssl.SSLContext | None = None
        self._source = source
        self._due_monotonic = 0.0

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if time.monotonic() >= self._due_monotonic:
            await self._refresh_or_keep(rejected=False)
        signed_with = self._sign(request)
        response = await handler(request)
        if response.status != 401:
            return response
        if self._token() == signed_with:
            await self._refresh_or_keep(rejected=True)
        if self._token() == signed_with:
            return response
        response.release()
        self._sign(request)
        return await handler(request)

    async def refresh(self, *, rejected: bool) -> None:
        """Reads the credentials again. Requests that come meanwhile use the old ones instead of waiting."""
        self._due_monotonic = time.monotonic() + _REFRESH_SECONDS
        try:
            await self._source.load(self.configuration, rejected=rejected)
            self.tls = self._trust(self.tls)
        except CredentialsError:
            raise
        except Exception as failure:  # of the kubernetes package: ConfigException, KeyError, TypeError, OSError, ...
            raise CredentialsError(f"cannot read credentials: {failure}") from failure
        # The package only logs the failure of an exec plugin and goes on with nothing.
        if self.configuration.host.startswith("https") and not (self._token() or self.configuration.cert_file):
            raise CredentialsError(f"no token and no client certificate for {self.configuration.host}")

    async def _refresh_or_keep(self, *, rejected: bool) -> None:
        """The old credentials may still be good when new ones cannot be had."""
        try:
            await self.refresh(rejected=rejected)
        except CredentialsError as failure:
            logger.warning("Credentials are kept as they were: %s", failure)

    def _sign(self, request: aiohttp.ClientRequest) -> str | None:
        token = self._token()
        if token is not None:
            request.headers["Authorization"] = token
        request.server_hostname = self.configuration.tls_server_name
        return token

    def _token(self) -> str | None:
        """The whole Authorization header, scheme included."""
        token: str | None = self.configuration.api_key.get("BearerToken")
        return token.strip() if token else None

    def _trust(self, tls: ssl.SSLContext | None) -> ssl.SSLContext:
        """Loads the cluster's CA and the client certificate; later ones are for new connections, open ones stay."""
        if tls is None:
            tls = ssl.create_default_context(cafile=self.configuration.ssl_ca_cert)
            tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # clusters' own CAs often lack what RFC 5280 wants
        elif self.configuration.ssl_ca_cert:
            tls.load_verify_locations(self.configuration.ssl_ca_cert)
        if self.configuration.cert_file:
            tls.load_cert_chain(self.configuration.cert_file, self.configuration.key_file)
        if not self.configuration.verify_ssl:
            tls.check_hostname = False
            tls.verify_mode = ssl.CERT_NONE
        return tls
