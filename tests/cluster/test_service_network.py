"""Services balance over the addresses of their endpoints by kube-proxy in the kernel, not by an imitation."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import dedent

import pytest

from cluster import network
from cluster.cluster import Cluster
from cluster.failure import ClusterFailure

# Two addresses of the control plane's part of the pods' range, which no pod gets.
ADDRESSES = ("10.244.0.101", "10.244.0.102")

SERVER = dedent("""
    import sys
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.server.server_address[0].encode())
        def log_message(self, *arguments): ...

    server = HTTPServer((sys.argv[1], 8080), Handler)
    print("listening", flush=True)
    server.serve_forever()
""")

CLIENT = dedent("""
    import sys, urllib.request
    for _ in range(40):
        print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())
""")


@contextmanager
def serving(cluster: Cluster, address: str) -> Iterator[None]:
    """An HTTP server inside that answers with its own address."""
    command = cluster.entering(sys.executable, "-c", SERVER, address)
    with subprocess.Popen(command, env=cluster.environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        try:
            yield
        finally:
            process.kill()


def publish(cluster: Cluster, namespace: str) -> str:
    """A Service without a selector and its EndpointSlice; returns the ClusterIP."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    }
    endpoint_slice = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web", "namespace": namespace, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in ADDRESSES],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }
    items = {"apiVersion": "v1", "kind": "List", "items": [service, endpoint_slice]}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(items))
    return cluster.kubectl("get", "service", "web", "--namespace", namespace, "-o", "jsonpath={.spec.clusterIP}")


def ask(cluster: Cluster, cluster_ip: str) -> Counter[str]:
    """Forty requests, a new connection each: how many came from which address."""
    return Counter(cluster.enter(sys.executable, "-c", CLIENT, f"http://{cluster_ip}").split())


def until_programmed(cluster: Cluster, cluster_ip: str) -> None:
    """kube-proxy writes a Service's rules within about a second."""
    once = f"import socket; socket.create_connection(('{cluster_ip}', 80), timeout=1)"
    for _ in range(20):
        try:
            cluster.enter(sys.executable, "-c", once)
        except ClusterFailure as failure:
            last = failure
        else:
            return
    raise last


def test_cluster_ip_balances_over_its_endpoints(local_cluster: Cluster, namespace: str) -> None:
    cluster_ip = publish(local_cluster, namespace)
    with serving(local_cluster, ADDRESSES[0]), serving(local_cluster, ADDRESSES[1]):
        until_programmed(local_cluster, cluster_ip)
        answers = ask(local_cluster, cluster_ip)
    assert set(answers) == set(ADDRESSES)
    assert answers.total() == 40


def test_endpoint_that_leaves_gets_no_new_connection(local_cluster: Cluster, namespace: str) -> None:
    cluster_ip = publish(local_cluster, namespace)
    with serving(local_cluster, ADDRESSES[0]), serving(local_cluster, ADDRESSES[1]):
        until_programmed(local_cluster, cluster_ip)
        only_first = '[{"op": "remove", "path": "/endpoints/1"}]'
        local_cluster.kubectl("patch", "endpointslice", "web", "-n", namespace, "--type=json", "-p", only_first)
        for _ in range(20):
            if set(ask(local_cluster, cluster_ip)) == {ADDRESSES[0]}:
                return
    pytest.fail("kube-proxy still sends connections to an endpoint that is gone")


def test_process_in_a_network_namespace_of_its_own_reaches_services(local_cluster: Cluster, namespace: str) -> None:
    """As the node agent does it: one end of a veth pair in the namespace, the other on the bridge."""
    cluster_ip = publish(local_cluster, namespace)
    outside = "veth-test"
    script = dedent(f"""
        set -e
        unshare --net sleep 60 & pod=$!
        until [ "$(readlink /proc/$pod/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done
        ip link add {outside} type veth peer name eth0 netns $pod
        ip link set {outside} master {network.BRIDGE} up
        inside="nsenter --net=/proc/$pod/ns/net"
        $inside ip address add 10.245.0.250/24 dev eth0
        $inside ip link set eth0 up
        $inside ip route add default via {network.BRIDGE_GATEWAY.ip}
        $inside {sys.executable} -c 'import sys, urllib.request
        print(urllib.request.urlopen("http://{cluster_ip}", timeout=5).read().decode())'
        kill $pod
    """)
    with serving(local_cluster, ADDRESSES[0]), serving(local_cluster, ADDRESSES[1]):
        until_programmed(local_cluster, cluster_ip)
        assert local_cluster.enter("sh", "-c", script).strip() in ADDRESSES


def test_loopback_addresses_are_no_endpoints(local_cluster: Cluster, namespace: str) -> None:
    """Why the pods' range is made local instead: a slice with 127.0.0.1 is refused."""
    refused = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "loopback", "namespace": namespace},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["127.0.0.1"]}],
        "ports": [],
    }
    with pytest.raises(ClusterFailure, match="loopback"):
        local_cluster.kubectl("create", "-f", "-", stdin=json.dumps(refused))


def test_api_server_is_reached_as_pods_reach_it(local_cluster: Cluster) -> None:
    """By the ClusterIP of the Service `kubernetes`, with a certificate that holds for it."""
    assert local_cluster.state is not None
    authority = local_cluster.state.credentials / "ca.pem"
    program = dedent(f"""
        import ssl, urllib.request
        context = ssl.create_default_context(cafile="{authority}")
        print(urllib.request.urlopen("https://{network.API_SERVICE}/version", context=context, timeout=5).status)
    """)
    assert local_cluster.enter(sys.executable, "-c", program) == "200\n"
