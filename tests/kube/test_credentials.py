"""How Conch logs in, tried on a real API server; and what it says when it cannot."""

import asyncio
import base64
import datetime as dt
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp
import kopf
import pytest
import trustme
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from conch.kube import credentials
from conch.kube.credentials import Kubeconfig, Login, ServiceAccount, find_credentials, login
from conch.kube.errors import CredentialsError
from kube.conftest import kubeconfig
from kube.control_plane import ApiServer

WHO: dict[str, str] = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


async def who(logged_in: Login) -> str:
    """The user that the API server sees."""
    url = f"{logged_in.server}/apis/authentication.k8s.io/v1/selfsubjectreviews"
    async with logged_in.session.post(url, json=WHO) as response:
        answer = await response.json()
        assert response.status == 201, answer
        name: str = answer["status"]["userInfo"]["username"]
        return name


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config"


async def test_a_token_in_the_kubeconfig(api_server: ApiServer, config: Path) -> None:
    config.write_text(kubeconfig(api_server, {"token": api_server.token}))
    async with login(Kubeconfig(str(config))) as logged_in:
        assert await who(logged_in) == "admin"
        assert logged_in.default_namespace == "team-a"


async def test_the_variable_names_the_kubeconfig(
    api_server: ApiServer, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(kubeconfig(api_server, {"token": api_server.token}))
    monkeypatch.setenv("KUBECONFIG", str(config))
    async with login(find_credentials()) as logged_in:
        assert await who(logged_in) == "admin"


async def test_a_client_certificate(api_server: ApiServer, config: Path) -> None:
    config.write_text(kubeconfig(api_server, _certificate_data(api_server, "certified")))
    async with login(Kubeconfig(str(config))) as logged_in:
        assert await who(logged_in) == "certified"


async def test_an_exec_plugin_with_a_token(api_server: ApiServer, config: Path, tmp_path: Path) -> None:
    plugin = _Plugin(tmp_path, {"token": api_server.token, "expirationTimestamp": _in_an_hour()})
    config.write_text(kubeconfig(api_server, plugin.user))
    async with login(Kubeconfig(str(config))) as logged_in:
        assert await who(logged_in) == "admin"
        assert await who(logged_in) == "admin"
    assert plugin.runs == 1


async def test_an_exec_plugin_with_a_certificate(api_server: ApiServer, config: Path, tmp_path: Path) -> None:
    issued = _certificate(api_server, "plugged")
    pair = {
        "clientCertificateData": issued.cert_chain_pems[0].bytes().decode(),
        "clientKeyData": issued.private_key_pem.bytes().decode(),
    }
    config.write_text(kubeconfig(api_server, _Plugin(tmp_path, pair).user))
    async with login(Kubeconfig(str(config))) as logged_in:
        assert await who(logged_in) == "plugged"


async def test_a_refused_token_is_fetched_again_before_its_time(
    api_server: ApiServer, config: Path, tmp_path: Path
) -> None:
    plugin = _Plugin(tmp_path, {"token": "revoked", "expirationTimestamp": _in_an_hour()})
    config.write_text(kubeconfig(api_server, plugin.user))
    async with login(Kubeconfig(str(config))) as logged_in:
        plugin.say({"token": api_server.token, "expirationTimestamp": _in_an_hour()})
        assert await who(logged_in) == "admin"
    assert plugin.runs == 2


async def test_a_service_account_whose_token_is_rotated(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _service_account(api_server, tmp_path, token="long expired")
    async with login(ServiceAccount(folder, _environment(api_server))) as logged_in:
        assert logged_in.default_namespace == "conch-system"
        (folder / "token").write_text(api_server.token)
        assert await who(logged_in) == "admin", "read again because of the 401"


async def test_kopf_takes_a_session_and_closes_only_that(api_server: ApiServer, config: Path) -> None:
    config.write_text(kubeconfig(api_server, {"token": api_server.token}))
    registry, stop = kopf.OperatorRegistry(), asyncio.Event()
    seen: asyncio.Queue[str] = asyncio.Queue()
    async with login(Kubeconfig(str(config))) as logged_in:

        @kopf.on.login(registry=registry)
        async def log_in(**_: object) -> kopf.AiohttpSession:
            return kopf.AiohttpSession(
                server=logged_in.server,
                aiohttp_session=logged_in.new_session(),
                default_namespace=logged_in.default_namespace,
            )

        @kopf.on.event("namespaces", registry=registry)
        async def on_namespace(name: str, **_: object) -> None:
            seen.put_nowait(name)

        settings = kopf.OperatorSettings()
        settings.scanning.disabled = True
        operator = asyncio.create_task(
            kopf.operator(registry=registry, settings=settings, clusterwide=True, standalone=True, stop_flag=stop)
        )
        async with asyncio.timeout(20):
            while await seen.get() != "default":
                pass
            stop.set()
            await operator
        assert await who(logged_in) == "admin", "the shared connections are still there"


async def test_tokens_are_read_again_in_time(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "_REFRESH_SECONDS", 0.0)
    token = tmp_path / "token"
    token.write_text("first\n")
    async with _tokens_seen() as (url, seen):
        config.write_text(_plain_kubeconfig(url, {"tokenFile": str(token)}))
        async with login(Kubeconfig(str(config))) as logged_in:
            for value in ("second\n", ""):
                async with logged_in.session.get(url):
                    pass
                token.write_text(value)
            async with logged_in.session.get(url):
                pass
    assert seen == ["Bearer first", "Bearer second", "Bearer second"], "an empty file is a rotation half done"


async def test_a_lasting_401_reaches_the_caller(config: Path) -> None:
    async with _tokens_seen(status=401) as (url, seen):
        config.write_text(_plain_kubeconfig(url, {"token": "wrong"}))
        async with login(Kubeconfig(str(config))) as logged_in, logged_in.session.get(url) as response:
            assert response.status == 401
    assert seen == ["Bearer wrong"], "the same token is not tried twice"


async def test_another_server_name_is_verified(config: Path, tmp_path: Path) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("api.conch.test").configure_cert(tls)
    async with _tokens_seen(tls=tls) as (url, seen):
        cluster = {"certificate-authority": str(tmp_path / "ca.pem"), "tls-server-name": "api.conch.test"}
        config.write_text(_plain_kubeconfig(url, {"token": "t"}, cluster))
        async with login(Kubeconfig(str(config))) as logged_in, logged_in.session.get(url):
            pass
        config.write_text(_plain_kubeconfig(url, {"token": "t"}, cluster | {"tls-server-name": "other.test"}))
        async with login(Kubeconfig(str(config))) as logged_in:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await logged_in.session.get(url)
    assert seen == ["Bearer t"]


async def _refused(config: Path) -> str:
    with pytest.raises(CredentialsError) as refused:
        async with login(Kubeconfig(str(config))):
            pass
    return str(refused.value)


async def test_no_kubeconfig_is_said_plainly(config: Path) -> None:
    assert await _refused(config) == f"there is no kubeconfig at {config}"


async def test_a_kubeconfig_without_a_usable_login_is_said_plainly(config: Path, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(ca_file)
    api_server = ApiServer("https://127.0.0.1:1", trustme.CA(), ca_file, "")
    failing: dict[str, object] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}}
    config.write_text(kubeconfig(api_server, failing))
    assert "no token and no client certificate" in await _refused(config)
    config.write_text("contexts: 7")
    assert "cannot read credentials" in await _refused(config)


async def test_outside_a_pod_there_is_no_service_account(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="Service host"):
        async with login(ServiceAccount(tmp_path, {})):
            pass


class _Plugin:
    """An exec plugin: a script that says what it is told to and counts its runs."""

    def __init__(self, folder: Path, status: dict[str, str]) -> None:
        self._said, self._log, script = folder / "said.json", folder / "runs", folder / "plugin.py"
        script.write_text(
            "import pathlib, sys\nopen(sys.argv[2], 'a').write('x')\nprint(pathlib.Path(sys.argv[1]).read_text())\n"
        )
        command = [str(script), str(self._said), str(self._log)]
        version = "client.authentication.k8s.io/v1"
        self.user: dict[str, object] = {"exec": {"apiVersion": version, "command": sys.executable, "args": command}}
        self.say(status)

    def say(self, status: dict[str, str]) -> None:
        credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
        self._said.write_text(json.dumps(credential))

    @property
    def runs(self) -> int:
        return len(self._log.read_text())


class _tokens_seen:  # noqa: N801 - used as a function
    """A server on loopback that notes the Authorization headers it gets."""

    def __init__(self, status: int = 200, tls: ssl.SSLContext | None = None) -> None:
        self._status, self._tls = status, tls
        self._seen: list[str] = []
        app = web.Application()
        app.router.add_get("/", self._handle)
        self._server = TestServer(app, scheme="https" if tls else "http")

    async def _handle(self, request: web.Request) -> web.Response:
        self._seen.append(request.headers["Authorization"])
        return web.Response(status=self._status)

    async def __aenter__(self) -> tuple[str, list[str]]:
        await self._server.start_server(ssl=self._tls)
        return str(self._server.make_url("/")), self._seen

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()


def _plain_kubeconfig(url: str, user: dict[str, str], cluster: dict[str, Any] | None = None) -> str:
    return yaml.safe_dump(
        {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": {"server": url, **(cluster or {})}}],
            "users": [{"name": "me", "user": user}],
        }
    )


def _certificate(api_server: ApiServer, user: str) -> trustme.LeafCert:
    return api_server.ca.issue_cert(f"{user}.conch.test", common_name=user, organization_name="system:masters")


def _certificate_data(api_server: ApiServer, user: str) -> dict[str, object]:
    issued = _certificate(api_server, user)
    return {
        "client-certificate-data": base64.b64encode(issued.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(issued.private_key_pem.bytes()).decode(),
    }


def _in_an_hour() -> str:
    moment = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _service_account(api_server: ApiServer, folder: Path, *, token: str) -> Path:
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(api_server.ca_file.read_bytes())
    (folder / "namespace").write_text("conch-system")
    return folder


def _environment(api_server: ApiServer) -> dict[str, str]:
    host, port = api_server.server.removeprefix("https://").split(":")
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
