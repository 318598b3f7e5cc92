"""The volumes of one pod as folders of this machine: made, filled, kept fresh, taken away."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from cluster.agent import atomic_folder, downward
from cluster.agent.api import ApiError
from cluster.agent.atomic_folder import File
from cluster.agent.downward import PodFacts
from cluster.agent.environment import entries
from cluster.agent.objects import Object, uid
from cluster.agent.references import Kind, MissingReference, References

# A kubelet asks for a new token when a fifth of the old one's life is left.
_TOKEN_LIFE_USED: Final = 0.8
_LONGEST_SLEEP_SECONDS: Final = 3600.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Token:
    """A ServiceAccount's token in a volume, and when to ask for its successor."""

    text: str
    refresh: datetime


class Volumes:
    """Folders of a pod's volumes, by name, below `root`."""

    def __init__(self, root: Path, references: References, facts: Callable[[], PodFacts]) -> None:
        self._root = root
        self._references = references
        self._facts = facts
        self._folders: dict[str, Path] = {}
        self._tokens: dict[tuple[str, str], Token] = {}
        self._immutable: dict[tuple[Kind, str], Object] = {}
        self._changed = asyncio.Event()

    @property
    def folders(self) -> dict[str, Path]:
        """Where each volume lies; complete once `prepare` has returned."""
        return self._folders

    async def prepare(self) -> None:
        """Makes and fills all volumes. Raises `MissingReference` with a kubelet's words."""
        for volume in self._specs():
            try:
                self._folders[volume["name"]] = await self._make(volume)
            except MissingReference as missing:
                raise MissingReference(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {missing}') from None

    async def keep_fresh(self) -> None:
        """Follows changes of ConfigMaps and Secrets and the age of tokens, until cancelled."""
        async with self._subscriptions():
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), self._seconds_until_refresh())
                self._changed.clear()
                try:
                    await self.prepare()
                except (MissingReference, ApiError, aiohttp.ClientError, TimeoutError) as error:
                    # What is mounted stays, as on a real node.
                    _log.info("volumes of %s: %s", self._facts().pod["metadata"]["name"], error)
                    await asyncio.sleep(1)

    def remove(self) -> None:
        """Takes the folders away; claims keep theirs."""
        shutil.rmtree(self._root, ignore_errors=True)

    def _specs(self) -> Iterable[Object]:
        return self._facts().pod["spec"].get("volumes") or ()

    async def _make(self, volume: Object) -> Path:
        folder = self._root / str(volume["name"])
        if "persistentVolumeClaim" in volume:
            return await self._claimed(volume["persistentVolumeClaim"]["claimName"])
        if "emptyDir" in volume:
            _folder(folder).chmod(0o777)
            return folder
        files = await self._files(volume)
        if files is None:
            raise MissingReference(f"this node knows no volume of kind {_kind(volume)}")
        atomic_folder.write(folder, files)
        return folder

    async def _claimed(self, name: str) -> Path:
        claim = await self._references.claim(self._facts().namespace, name)
        if claim.get("status", {}).get("phase") != "Bound":
            raise MissingReference(f'persistentvolumeclaim "{name}" is not bound')
        source = (await self._references.volume(claim["spec"]["volumeName"]))["spec"]
        path = (source.get("hostPath") or source.get("local") or {}).get("path")
        if path is None:
            raise MissingReference(f"this node can mount hostPath and local volumes, not that of claim {name}")
        return _folder(Path(path))

    async def _files(self, volume: Object) -> dict[str, File] | None:
        if "configMap" in volume:
            return await self._entries("configmap", volume["configMap"], volume["configMap"].get("name", ""))
        if "secret" in volume:
            return await self._entries("secret", volume["secret"], volume["secret"]["secretName"])
        if "downwardAPI" in volume:
            return self._downward(volume["downwardAPI"], volume["downwardAPI"].get("defaultMode"))
        if "projected" in volume:
            return await self._projected(volume["projected"])
        return None

    async def _projected(self, source: Object) -> dict[str, File]:
        files: dict[str, File] = {}
        mode = source.get("defaultMode")
        for part in source.get("sources") or ():
            if "serviceAccountToken" in part:
                files |= await self._token(part["serviceAccountToken"], mode)
            elif "downwardAPI" in part:
                files |= self._downward(part["downwardAPI"], mode)
            elif "configMap" in part:
                named = {"defaultMode": mode, **part["configMap"]}
                files |= await self._entries("configmap", named, part["configMap"]["name"])
            elif "secret" in part:
                files |= await self._entries("secret", {"defaultMode": mode, **part["secret"]}, part["secret"]["name"])
        return files

    async def _entries(self, kind: Kind, source: Object, name: str) -> dict[str, File]:
        mode, optional = source.get("defaultMode") or 0o644, source.get("optional", False)
        try:
            content = dict(entries(await self._read(kind, name)))
        except MissingReference:
            if optional:
                return {}
            raise
        if not source.get("items"):
            return {key: File(value, mode) for key, value in content.items()}
        files: dict[str, File] = {}
        for item in source["items"]:
            if item["key"] in content:
                files[item["path"]] = File(content[item["key"]], item.get("mode") or mode)
            elif not optional:
                raise MissingReference(f"{kind} references non-existent config key: {item['key']}")
        return files

    async def _read(self, kind: Kind, name: str) -> Object:
        """An immutable object is read once: a pod never sees a successor of that name."""
        if (kind, name) in self._immutable:
            return self._immutable[kind, name]
        item = await self._references.read(kind, self._facts().namespace, name)
        if item.get("immutable"):
            self._immutable[kind, name] = item
        return item

    def _downward(self, source: Object, default_mode: int | None) -> dict[str, File]:
        facts, files = self._facts(), {}
        containers = {container["name"]: container for container in facts.pod["spec"]["containers"]}
        for item in source.get("items") or ():
            if "fieldRef" in item:
                text = downward.field(item["fieldRef"]["fieldPath"], facts)
            else:
                reference = item["resourceFieldRef"]
                text = downward.resource(reference, containers[reference["containerName"]], facts)
            files[item["path"]] = File(text.encode(), item.get("mode") or default_mode or 0o644)
        return files

    async def _token(self, source: Object, mode: int | None) -> dict[str, File]:
        key = (source["path"], source.get("audience", ""))
        token = self._tokens.get(key)
        if token is None or token.refresh <= datetime.now(UTC):
            token = self._tokens[key] = await self._new_token(source)
        return {source["path"]: File(token.text.encode(), mode or 0o644)}

    async def _new_token(self, source: Object) -> Token:
        pod = self._facts().pod
        request = {
            "audiences": [source["audience"]] if source.get("audience") else [],
            "expirationSeconds": source.get("expirationSeconds", 3600),
            "boundObjectRef": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": pod["metadata"]["name"],
                "uid": uid(pod),
            },
        }
        account = pod["spec"].get("serviceAccountName", "default")
        now = datetime.now(UTC)
        status = await self._references.token(self._facts().namespace, account, request)
        expiry = datetime.fromisoformat(status["expirationTimestamp"])
        return Token(status["token"], now + (expiry - now) * _TOKEN_LIFE_USED)

    def _seconds_until_refresh(self) -> float:
        moments = [token.refresh for token in self._tokens.values()]
        left = (min(moments) - datetime.now(UTC)).total_seconds() if moments else _LONGEST_SLEEP_SECONDS
        return min(max(left, 0.1), _LONGEST_SLEEP_SECONDS)

    @contextlib.asynccontextmanager
    async def _subscriptions(self) -> AsyncIterator[None]:
        namespace = self._facts().namespace
        with contextlib.ExitStack() as stack:
            for kind, name in {found for volume in self._specs() for found in _names(volume)}:
                stack.callback(self._references.subscribe(kind, namespace, name, self._changed.set))
            yield


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _names(volume: Object) -> Iterable[tuple[Kind, str]]:
    """The ConfigMaps and Secrets that a volume shows."""
    if "configMap" in volume:
        yield "configmap", volume["configMap"]["name"]
    if "secret" in volume:
        yield "secret", volume["secret"]["secretName"]
    for part in (volume.get("projected") or {}).get("sources") or ():
        if "configMap" in part:
            yield "configmap", part["configMap"]["name"]
        if "secret" in part:
            yield "secret", part["secret"]["name"]


def _kind(volume: Object) -> str:
    return next((key for key in volume if key != "name"), "none")
