"""Volumes, environment and credentials as programs in pods see them."""

import json

import pytest

from cluster.agent.objects import Object
from cluster.agent_tests.workload import (
    Workload,
    is_ready,
    tool,
    until,
    waiting_reason,
)
from cluster.state import REPOSITORY

pytestmark = pytest.mark.agent

SLEEP = "import time; time.sleep(600)"
LISTING = """
import json, os
found = {}
for folder, folders, files in os.walk('/here'):
    for name in folders + files:
        path = os.path.join(folder, name)
        found[path] = os.readlink(path) if os.path.islink(path) else oct(os.stat(path).st_mode & 0o777)
print(json.dumps(found))
"""


def mounted(name: str, code: str, volume: Object, **mount: object) -> Object:
    mounts = [{"name": "v", "mountPath": "/here", **mount}]
    return tool(name, code, {"volumeMounts": mounts}, volumes=[{"name": "v", **volume}], restartPolicy="Never")


def run(workload: Workload, pod: Object) -> str:
    workload.create(pod)
    name = pod["metadata"]["name"]
    status = workload.wait(name, lambda status: status["phase"] in ("Succeeded", "Failed"))
    assert status["phase"] == "Succeeded", workload.kubectl("logs", name)
    return workload.kubectl("logs", name)


def test_a_config_map_is_laid_out_as_by_a_kubelet(workload: Workload) -> None:
    items = [{"key": "config", "path": "config.pbtxt"}, {"key": "model", "path": "1/model.json", "mode": 0o600}]
    volume = {"configMap": {"name": "repository", "items": items, "defaultMode": 0o640}}
    found: dict[str, str] = json.loads(run(workload, mounted("listing", LISTING, volume)))
    stamped = found["/here/..data"]
    assert stamped.startswith("..20")
    assert found["/here/config.pbtxt"] == "..data/config.pbtxt"
    assert found["/here/1"] == "..data/1"
    assert found[f"/here/{stamped}/config.pbtxt"] == "0o640"
    assert found[f"/here/{stamped}/1/model.json"] == "0o600"


def test_a_changed_config_map_shows_in_the_pod(workload: Workload) -> None:
    workload.kubectl("create", "configmap", "changing", "--from-literal=word=old")
    code = "import time\nwhile 'new' not in open('/here/word').read(): time.sleep(0.1)"
    workload.create(mounted("watching", code, {"configMap": {"name": "changing"}}))
    workload.wait("watching", is_ready)
    workload.kubectl("patch", "configmap", "changing", "--patch", '{"data":{"word":"new"}}')
    workload.wait("watching", lambda status: status["phase"] == "Succeeded", 15)


def test_a_missing_volume_source_heals(workload: Workload) -> None:
    workload.create(mounted("patient", "print(open('/here/word').read())", {"secret": {"secretName": "later"}}))
    until(lambda: workload.events("patient"), lambda events: "FailedMount" in events)
    assert workload.events("patient")["FailedMount"] == (
        'MountVolume.SetUp failed for volume "v" : secret "later" not found'
    )
    assert waiting_reason(workload.get("pod", "patient")["status"]) == "ContainerCreating"
    workload.kubectl("create", "secret", "generic", "later", "--from-literal=word=here")
    workload.wait("patient", lambda status: status["phase"] == "Succeeded")
    assert workload.kubectl("logs", "patient") == "here\n"


def test_a_missing_reference_of_the_environment_heals(workload: Workload) -> None:
    reference = {"secretKeyRef": {"name": "later", "key": "word"}}
    code = "import os; print(os.environ['WORD'], os.environ['AGAIN'])"
    env = [{"name": "WORD", "valueFrom": reference}, {"name": "AGAIN", "value": "$(WORD)-$(NONE)"}]
    workload.create(tool("patient", code, {"env": env}, restartPolicy="Never"))
    status = workload.wait("patient", lambda status: waiting_reason(status) == "CreateContainerConfigError")
    assert status["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "later" not found'
    workload.kubectl("create", "secret", "generic", "later", "--from-literal=word=here")
    workload.wait("patient", lambda status: status["phase"] == "Succeeded")
    assert workload.kubectl("logs", "patient") == "here here-$(NONE)\n"


def test_the_downward_api_tells_what_is_so(workload: Workload) -> None:
    fields = {
        "NAME": "metadata.name",
        "NODE": "spec.nodeName",
        "ADDRESS": "status.podIP",
        "APP": "metadata.labels['app']",
    }
    env = [{"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()]
    env += [{"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}}]
    code = f"import os, json; print(json.dumps({{n: os.environ[n] for n in {[*fields, 'MEMORY']}}}))"
    workload.create(tool("told", code, {"env": env, "resources": {"limits": {"memory": "3Gi"}}}, restartPolicy="Never"))
    status = workload.wait("told", lambda status: status["phase"] == "Succeeded")
    pod = workload.get("pod", "told")
    assert json.loads(workload.kubectl("logs", "told")) == {
        "NAME": "told",
        "NODE": pod["spec"]["nodeName"],
        "ADDRESS": status["podIP"],
        "APP": "told",
        "MEMORY": "3072",
    }


def test_the_mounted_token_is_the_service_account_s(workload: Workload) -> None:
    code = """
import json, os, ssl, urllib.request
folder = "/var/run/secrets/kubernetes.io/serviceaccount"
url = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
request = urllib.request.Request(
    f"{url}/apis/authentication.k8s.io/v1/selfsubjectreviews",
    data=json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).encode(),
    headers={"Authorization": f"Bearer {open(folder + '/token').read()}", "Content-Type": "application/json"},
)
context = ssl.create_default_context(cafile=folder + "/ca.crt")
print(json.load(urllib.request.urlopen(request, context=context))["status"]["userInfo"]["username"])
"""
    workload.kubectl("create", "serviceaccount", "caller")
    log = workload.run("calling", code, serviceAccountName="caller")
    assert log.strip() == f"system:serviceaccount:{workload.namespace}:caller"


def test_a_claim_keeps_what_pods_write(workload: Workload) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    volume = {"persistentVolumeClaim": {"claimName": "kept"}}
    workload.create(mounted("early", "print(open('/here/word').read())", volume))
    until(lambda: workload.events("early"), lambda events: "FailedScheduling" in events)
    workload.create(claim)
    run(workload, mounted("writing", "open('/here/word', 'w').write('kept')", volume, subPath="below"))
    assert run(workload, mounted("reading", "print(open('/here/below/word').read())", volume)) == "kept\n"


def test_a_container_sees_this_machine_and_cannot_change_it(workload: Workload) -> None:
    code = """
import os
for path in ("/usr/touched", "/here/touched", "/touched", "/opt/touched"):
    try:
        open(path, "w")
        print(path)
    except OSError:
        pass
open("/tmp/touched", "w")
print(sorted(os.listdir("/tmp")), os.getpid(), os.path.exists("/usr/bin/env"))
"""
    log = run(workload, mounted("walled", code, {"emptyDir": {}}, readOnly=True))
    # A checkout below /tmp is shown there, and nothing else of this machine's /tmp is.
    checkout = {REPOSITORY.parts[2]} if REPOSITORY.is_relative_to("/tmp") else set()
    assert log == f"{sorted({'touched'} | checkout)} 1 True\n"
