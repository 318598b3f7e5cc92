"""Addresses of pods, network namespaces for those that are processes, and a way to cut a pod off."""

import asyncio
import ctypes
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final, Literal

_NEWNET: Final = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

# Packets from and to these addresses vanish, as with a frozen machine: connections neither answer nor break.
_CUT_OFF_TABLE: Final = """
table inet node_agent
delete table inet node_agent
table inet node_agent {
    set cut_off { type ipv4_addr; }
    chain local_in { type filter hook input priority -300; ip saddr @cut_off drop; ip daddr @cut_off drop; }
    chain forward { type filter hook forward priority -300; ip saddr @cut_off drop; ip daddr @cut_off drop; }
    chain local_out { type filter hook output priority 300; ip saddr @cut_off drop; ip daddr @cut_off drop; }
}
"""


class NetworkError(Exception):
    """The kernel would not do it; the text is the tool's complaint."""


class Addresses:
    """The free addresses of a range; one that was given back comes last, so nobody meets a predecessor's traffic."""

    def __init__(self, network: IPv4Network, first: int = 1) -> None:
        self._free = deque(str(address) for address in list(network.hosts())[first - 1 :])

    def take(self) -> str:
        """Raises NetworkError when all are in use."""
        if not self._free:
            raise NetworkError("no address is left on this node")
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        self._free.append(address)


class PodNetwork:
    """A network namespace with one end of a veth pair; `descriptor` keeps it alive, and so does every process in it."""

    def __init__(self, descriptor: int, interface: str) -> None:
        self.descriptor = descriptor
        self._interface = interface

    @classmethod
    async def create(cls, address: str, bridge: str, gateway: str, prefix_length: int) -> "PodNetwork":
        """Raises `NetworkError`."""
        descriptor = await asyncio.to_thread(_new_namespace)
        namespace = f"/proc/{os.getpid()}/fd/{descriptor}"
        interface = f"pod{address.replace('.', '')[-9:]}"
        try:
            await _run("ip", "-batch", "-", stdin=f"""
                link add {interface} type veth peer name eth0 netns {namespace}
                link set {interface} master {bridge} up
            """)  # fmt: skip
            await _run("nsenter", f"--net={namespace}", "ip", "-batch", "-", stdin=f"""
                link set lo up
                address add {address}/{prefix_length} dev eth0
                link set eth0 up
                route add default via {gateway}
            """)  # fmt: skip
        except BaseException:
            os.close(descriptor)
            raise
        return cls(descriptor, interface)

    async def set_link(self, state: Literal["up", "down"]) -> None:
        """Plugs the cable in or out."""
        await _run("ip", "link", "set", self._interface, state)

    async def close(self) -> None:
        """Takes the namespace away; processes still in it lose their network."""
        with suppress(NetworkError):
            await _run("ip", "link", "delete", self._interface)
        os.close(self.descriptor)


@dataclass(frozen=True, slots=True)
class Bridge:
    """Where pods with a network of their own are connected."""

    name: str
    gateway: str
    prefix_length: int
    addresses: Addresses


class Attachment:
    """How one pod is connected: its address, which stays known when it was given back, and its own network if any."""

    def __init__(self) -> None:
        self.address = ""
        self._pool: Addresses | None = None
        self._network: PodNetwork | None = None

    @property
    def namespace(self) -> int | None:
        """A descriptor of the pod's own network namespace."""
        return self._network.descriptor if self._network else None

    def share(self, address: str) -> None:
        """Uses an address that is somebody else's."""
        self.address = address

    def take(self, pool: Addresses) -> None:
        """Takes an address that is local on this machine. Raises `NetworkError`."""
        self.address, self._pool = pool.take(), pool

    async def join(self, bridge: Bridge) -> None:
        """Makes a network namespace on the bridge. Raises `NetworkError`."""
        address = bridge.addresses.take()
        try:
            self._network = await PodNetwork.create(address, bridge.name, bridge.gateway, bridge.prefix_length)
        except BaseException:
            bridge.addresses.give_back(address)
            raise
        self.address, self._pool = address, bridge.addresses

    async def set_link(self, state: Literal["up", "down"]) -> None:
        """For a network of its own: packets between neighbours on the bridge pass no other place to stop them."""
        if self._network:
            await self._network.set_link(state)

    async def release(self) -> None:
        """Gives back what it took."""
        network, self._network = self._network, None
        if network:
            await network.close()
        pool, self._pool = self._pool, None
        if pool:
            pool.give_back(self.address)


class Partition:
    """Addresses that are cut off from everything."""

    def __init__(self) -> None:
        self._addresses: set[str] = set()

    async def add(self, address: str) -> None:
        """Takes effect at once, for open connections too."""
        if not self._addresses:
            await _run("nft", "-f", "-", stdin=_CUT_OFF_TABLE)
        self._addresses.add(address)
        await _run("nft", "add", "element", "inet", "node_agent", "cut_off", f"{{ {address} }}")

    async def remove(self, address: str) -> None:
        """What was held up arrives by retransmission."""
        if address in self._addresses:
            self._addresses.discard(address)
            await _run("nft", "delete", "element", "inet", "node_agent", "cut_off", f"{{ {address} }}")

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._addresses))


def _new_namespace() -> int:
    """A file descriptor of a new network namespace: a thread moves to one and ends."""
    made: list[int] = []

    def make() -> None:
        if _libc.unshare(_NEWNET) == 0:
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise NetworkError("the kernel refuses a network namespace")
    return made[0]


async def _run(*command: str, stdin: str = "") -> None:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    _, complaint = await process.communicate(stdin.encode())
    if process.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {complaint.decode(errors='replace').strip()}")
