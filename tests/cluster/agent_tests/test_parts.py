"""The parts that need neither a cluster nor a container."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path, PurePosixPath

import pytest

from cluster.agent import atomic_folder, downward, node
from cluster.agent.atomic_folder import File
from cluster.agent.backoff import Backoff
from cluster.agent.downward import PodFacts
from cluster.agent.environment import expand, service_links
from cluster.agent.faults import Faults, simulator_settings
from cluster.agent.grace import Grace
from cluster.agent.handlers import HandlerFailed, port_number
from cluster.agent.images import Image, Images
from cluster.agent.logs import ContainerLog, LogView
from cluster.agent.mounts import Mount, Mounts, mounts_of
from cluster.agent.node import Gpus, Node, NodeSpec, NoDevices
from cluster.agent.objects import Object
from cluster.agent.pod_network import Addresses
from cluster.agent.probes import Tally, Timing
from cluster.agent.references import Kind, References
from cluster.agent.volumes import Volumes


def test_references_expand_as_kubernetes_says() -> None:
    variables = {"A": "1", "B": "$(A)"}
    assert expand("$(A) $(NONE) $$(A) $A $(B)", variables) == "1 $(NONE) $(A) $A $(A)"


def test_service_links_are_those_of_docker() -> None:
    service: Object = {
        "metadata": {"name": "my-db"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"name": "sql", "port": 5432}]},
    }
    assert service_links(service) == {
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_SQL": "5432",
        "MY_DB_PORT": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.96.0.7",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("1500m", "1.5"), ("2Gi", str(2**31)), ("3k", "3000"), ("7", "7"), ("1E", "1" + "0" * 18)]
)
def test_quantities(text: str, value: str) -> None:
    assert downward.quantity(text) == Decimal(value)


def test_a_limit_that_is_not_set_is_the_node_s() -> None:
    facts = PodFacts({"metadata": {}, "spec": {}}, "", "", {"cpu": "32"})
    container: Object = {"resources": {"limits": {"memory": "1500Mi"}}}
    assert downward.resource({"resource": "limits.cpu"}, container, facts) == "32"
    assert downward.resource({"resource": "limits.memory", "divisor": "1Gi"}, container, facts) == "2"
    assert downward.resource({"resource": "requests.cpu", "divisor": "0"}, container, facts) == "0"


def test_labels_are_quoted_as_files_show_them() -> None:
    pod: Object = {"metadata": {"labels": {"b": 'say "hi"', "a": "1"}}, "spec": {}}
    facts = PodFacts(pod, "", "", {})
    assert downward.field("metadata.labels", facts) == 'a="1"\nb="say \\"hi\\""'
    with pytest.raises(ValueError, match="unsupported"):
        downward.field("spec.secret", facts)


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    old = {"a": File(b"1", 0o644), "sub/b": File(b"2", 0o600)}
    assert atomic_folder.write(tmp_path, old)
    stamped = (tmp_path / "..data").readlink()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(["..data", str(stamped), "a", "sub"])
    assert (tmp_path / "sub").readlink() == Path("..data/sub")
    assert not atomic_folder.write(tmp_path, old)
    assert (tmp_path / "..data").readlink() == stamped
    assert atomic_folder.write(tmp_path, {"a": File(b"3", 0o644)})
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "sub").is_symlink()
    assert not (tmp_path / stamped).exists()


def test_a_mode_alone_is_a_change(tmp_path: Path) -> None:
    assert atomic_folder.write(tmp_path, {"a": File(b"1", 0o644)})
    assert atomic_folder.write(tmp_path, {"a": File(b"1", 0o600)})
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_backoff_starts_at_once_doubles_and_forgets() -> None:
    backoff, now = Backoff(1.0), 1000.0
    waits = []
    for _ in range(8):
        wait = backoff.failed(now)
        waits.append(wait)
        now += wait
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.failed(now + 61) == 0


def test_a_verdict_takes_its_threshold_in_a_row() -> None:
    tally = Tally(Timing(0, 1, 1, successes=2, failures=3))
    calls = [False, False, True, False, False, False, True, True]
    assert [tally.count(success) for success in calls] == [None, None, None, None, None, False, None, True]


def test_ports_go_by_number_name_or_digits() -> None:
    container: Object = {"name": "c", "ports": [{"name": "http", "containerPort": 8000}]}
    assert [port_number(port, container) for port in (80, "http", "81")] == [80, 8000, 81]
    with pytest.raises(HandlerFailed, match="metrics"):
        port_number("metrics", container)


def test_the_first_fitting_image_counts(tmp_path: Path) -> None:
    file = tmp_path / "images.yaml"
    file.write_text("- {image: 'nvcr.io/nvidia/tritonserver:*', simulator: triton, settings: {speed: 10}}\n")
    images = Images.read(file)
    found = images.find("nvcr.io/nvidia/tritonserver:26.08-vllm-python-py3")
    assert found is not None
    assert found.settings == {"speed": 10}
    assert images.find("conch.test/tools") is not None
    assert images.find("unknown:1") is None
    with pytest.raises(ValueError, match="exactly one"):
        Image.parse({"image": "x", "simulator": "triton", "process": {}})
    with pytest.raises(ValueError, match="colour"):
        Image.parse({"image": "x", "process": {}, "colour": "red"})


def test_a_pod_s_arguments_replace_the_image_s_and_its_command_both() -> None:
    image = Image("x", "process", command=("run",), args=("fast",))
    assert image.command_of({}) == ("run", "fast")
    assert image.command_of({"args": ["slow"]}) == ("run", "slow")
    assert image.command_of({"command": ["walk"]}) == ("walk",)


def test_a_path_lies_in_the_deepest_mount_and_the_folders_above_exist(tmp_path: Path) -> None:
    repository, models = tmp_path / "repository", tmp_path / "models"
    mounts = Mounts(
        (
            Mount(PurePosixPath("/models/m"), repository, read_only=True),
            Mount(PurePosixPath("/weights"), models, read_only=False),
            Mount(PurePosixPath("/weights/deep"), repository, read_only=False),
        ),
        tmp_path / "scratch",
    )
    mounts.lay_out()
    assert mounts.resolve("/models/m/1") == repository / "1"
    assert mounts.resolve("/weights/x") == models / "x"
    assert mounts.resolve("/weights/deep/x") == repository / "x"
    assert [entry.name for entry in mounts.resolve("/models").iterdir()] == ["m"]
    assert mounts.resolve("/etc/x") == tmp_path / "scratch/etc/x"


def test_a_sub_path_is_made_where_it_is_missing(tmp_path: Path) -> None:
    container: Object = {"volumeMounts": [{"name": "v", "mountPath": "/x", "subPathExpr": "$(NAME)/y"}]}
    (mount,) = mounts_of(container, {"v": tmp_path}, {"NAME": "pod"})
    assert mount.source == tmp_path / "pod/y"
    assert mount.source.is_dir()


def test_gpus_are_given_once_and_come_back() -> None:
    made = Node(NodeSpec("n", 0, gpus=Gpus("P", 4, 81559, "hopper", "9.0")))
    assert list(made.take_gpus("one", 3)) == [0, 1, 2]
    with pytest.raises(NoDevices, match="Requested: 2, Available: 1"):
        made.take_gpus("two", 2)
    made.give_gpus_back("one")
    assert list(made.take_gpus("two", 4)) == [0, 1, 2, 3]


def test_nodes_are_counted_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "nodes.yaml"
    gpus = "{product: NVIDIA-H100-80GB-HBM3, count: 8, memory: 81559, family: hopper, compute: '9.0'}"
    file.write_text(f"- {{name: gpu, count: 2, gpus: {gpus}}}\n- {{name: cpu, cpu: 4}}\n")
    specs = node.read(file)
    assert [spec.name for spec in specs] == ["gpu-0", "gpu-1", "cpu"]
    assert len({spec.address for spec in specs} | {str(spec.pod_range) for spec in specs}) == 6
    labels = node.node_object(specs[0])["metadata"]["labels"]
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert labels["nvidia.com/gpu.memory"] == "81559"
    assert specs[0].capacity["nvidia.com/gpu"] == "8"
    assert "taints" not in node.node_object(specs[2])["spec"]
    file.write_text("- {name: gpu, colour: red}\n")
    with pytest.raises(ValueError, match="colour"):
        node.read(file)


def test_an_address_rests_before_it_is_used_again() -> None:
    addresses = Addresses(NodeSpec("n", 0).pod_range, first=2)
    first = addresses.take()
    addresses.give_back(first)
    assert first == "10.244.1.2"
    assert addresses.take() == "10.244.1.3"


def test_faults_are_read_from_annotations() -> None:
    pod: Object = {"metadata": {"annotations": {
        "agent.conch.test/fault": "crash, slow-start",
        "agent.conch.test/start-seconds": "3",
        "simulator.conch.test/load-seconds": "8",
    }}}  # fmt: skip
    assert Faults.of(pod) == Faults(crashes=True, start_seconds=3.0)
    assert simulator_settings(pod) == {"load-seconds": "8"}
    with pytest.raises(ValueError, match="explode"):
        Faults.of({"metadata": {"annotations": {"agent.conch.test/fault": "explode"}}})


async def test_a_log_is_followed_to_its_end(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "0.log")
    log.write("one")
    seen: list[str] = []

    async def follow() -> None:
        async for line in log.follow():
            seen.append(LogView().shown(line))  # noqa: PERF401 - what has come so far is looked at meanwhile

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.01)
    log.write("two")
    await asyncio.sleep(0.01)
    assert seen == ["one\n", "two\n"]
    log.close()
    await asyncio.wait_for(following, 1)
    assert list(LogView(tail=1).of(log.lines())) == ["two\n"]
    assert log.last_lines() == "one\ntwo\n"


async def test_grace_only_becomes_shorter() -> None:
    grace = Grace(60)
    grace.shorten(0.01)
    grace.shorten(30)
    assert not await grace.wait_for(asyncio.sleep(1))
    assert await grace.extended_to(1).wait_for(asyncio.sleep(0.01))


class Shelf(References):
    """Holds one ConfigMap."""

    def __init__(self, item: Object) -> None:
        self.item = item

    async def read(self, kind: Kind, namespace: str, name: str) -> Object:
        return self.item


@pytest.mark.parametrize(("immutable", "word"), [(True, "old"), (False, "new")])
async def test_only_what_may_change_is_read_again(tmp_path: Path, immutable: bool, word: str) -> None:
    pod: Object = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"volumes": [{"name": "c", "configMap": {"name": "c"}}]},
    }
    shelf = Shelf({"kind": "ConfigMap", "immutable": immutable, "data": {"word": "old"}})
    volumes = Volumes(tmp_path, shelf, lambda: PodFacts(pod, "", "", {}))
    await volumes.prepare()
    shelf.item = {**shelf.item, "data": {"word": "new"}}
    await volumes.prepare()
    assert (volumes.folders["c"] / "word").read_text() == word


class TokenServer(References):
    """Gives tokens of two seconds, numbered."""

    def __init__(self) -> None:
        self.given = 0

    async def token(self, namespace: str, account: str, request: Object) -> Object:
        assert request["boundObjectRef"]["uid"] == "u"
        self.given += 1
        expiry = datetime.now(UTC) + timedelta(seconds=2)
        return {"token": str(self.given), "expirationTimestamp": expiry.isoformat()}


async def test_a_token_is_renewed_before_it_expires(tmp_path: Path) -> None:
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    pod: Object = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"volumes": [{"name": "t", "projected": {"sources": [token]}}]},
    }
    server = TokenServer()
    volumes = Volumes(tmp_path, server, lambda: PodFacts(pod, "", "", {}))
    await volumes.prepare()
    file = volumes.folders["t"] / "token"
    assert file.read_text() == "1"
    freshening = asyncio.create_task(volumes.keep_fresh())
    await asyncio.sleep(1.2)
    assert file.read_text() == "1"
    await asyncio.sleep(0.7)
    assert file.read_text() == "2"
    freshening.cancel()
