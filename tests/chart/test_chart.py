"""The chart as a whole: what it makes, under which names, and that it is the same from wherever it comes."""

import json
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from chart.rendering import CHART, Helm, Manifest, Refused, Rendered, parse
from cluster.state import REPOSITORY
from conch.api.crd import NAME as CRD_NAME
from conch.api.crd import custom_resource_definition

EVERYTHING = [
    ("ClusterRole", "conch"),
    ("ClusterRole", "conch-edit"),
    ("ClusterRole", "conch-view"),
    ("ClusterRoleBinding", "conch"),
    ("CustomResourceDefinition", CRD_NAME),
    ("Deployment", "conch"),
    ("ServiceAccount", "conch"),
]
SELECTOR = {"app.kubernetes.io/name": "conch", "app.kubernetes.io/instance": "conch"}


def test_lint(helm_program: Helm) -> None:
    assert "0 chart(s) failed" in helm_program.run("lint", "--strict", str(CHART))


def test_everything_it_makes(default: Rendered) -> None:
    assert default.kinds() == EVERYTHING


def test_two_renders_are_equal(helm_program: Helm) -> None:
    assert helm_program.text() == helm_program.text()


def test_labels(default: Rendered) -> None:
    expected = SELECTOR | {
        "helm.sh/chart": "conch-0.1.0",
        "app.kubernetes.io/version": "0.1.0",
        "app.kubernetes.io/component": "operator",
        "app.kubernetes.io/part-of": "conch",
        "app.kubernetes.io/managed-by": "Helm",
    }
    for manifest in default.manifests:
        if manifest["kind"] != "CustomResourceDefinition":
            assert manifest["metadata"]["labels"].items() >= expected.items(), manifest["kind"]
    deployment = default.one("Deployment")
    assert deployment["spec"]["selector"] == {"matchLabels": SELECTOR}
    # No version in the pod's labels: an upgrade that changes nothing else restarts nothing.
    assert default.pod["metadata"]["labels"] == SELECTOR


def test_namespaced_objects_are_in_the_releases_namespace(default: Rendered) -> None:
    """`kubectl apply` of the rendered text puts them where it says, not where the user's context points."""
    for kind in ("Deployment", "ServiceAccount"):
        assert default.one(kind)["metadata"]["namespace"] == "conch-system"


@pytest.mark.parametrize(
    ("release", "values", "name", "selected"),
    [
        ("conch", "", "conch", "conch"),
        ("prod-conch", "", "prod-conch", "conch"),
        ("prod", "", "prod-conch", "conch"),
        ("prod", "nameOverride=llm", "prod-llm", "llm"),
        ("prod", "fullnameOverride=the-operator", "the-operator", "conch"),
        ("a" * 53, "", "a" * 53, "conch"),
        ("a" * 52, "nameOverride=b", "a" * 52, "b"),
    ],
)
def test_names(helm_program: Helm, release: str, values: str, name: str, selected: str) -> None:
    rendered = parse(helm_program.run("template", release, str(CHART), *(["--set", values] if values else [])))
    named = {manifest["metadata"]["name"] for manifest in rendered.manifests}
    assert named == {name, f"{name}-view", f"{name}-edit", CRD_NAME}
    labels = rendered.one("Deployment", name)["spec"]["selector"]["matchLabels"]
    assert labels == {"app.kubernetes.io/name": selected, "app.kubernetes.io/instance": release}


def crd(rendered: Rendered) -> Manifest:
    return rendered.one("CustomResourceDefinition", CRD_NAME)


def test_crd_is_the_generated_one_and_kept(default: Rendered) -> None:
    rendered = crd(default)
    assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert rendered == json.loads(json.dumps(custom_resource_definition()))


def test_crd_can_go_with_the_release(helm_program: Helm) -> None:
    assert "annotations" not in crd(helm_program.render("--set", "crds.keep=false"))["metadata"]


def test_crd_can_be_somebody_elses(helm_program: Helm) -> None:
    rendered = helm_program.render("--set", "crds.enabled=false")
    assert rendered.kinds() == [kind for kind in EVERYTHING if kind[0] != "CustomResourceDefinition"]


def test_no_file_is_a_link() -> None:
    """Flux drops links from its artifacts, and a CRD that is one is silently not installed (fluxcd/flux2#4088)."""
    assert [path for path in CHART.rglob("*") if path.is_symlink()] == []


def test_package_renders_like_the_folder(helm_program: Helm, tmp_path: Path) -> None:
    helm_program.run("package", str(CHART), "--destination", str(tmp_path))
    package = tmp_path / "conch-0.1.0.tgz"
    with tarfile.open(package) as archive:
        packed = {member.name.removeprefix("conch/") for member in archive}
    files = {str(path.relative_to(CHART)) for path in CHART.rglob("*") if path.is_file()}
    assert packed - {".helmignore"} == files - {".helmignore"}
    assert helm_program.text(chart=package) == helm_program.text()


def test_works_inside_another_chart(helm_program: Helm, tmp_path: Path) -> None:
    """Parents hand `global` down, which the schema has to let pass."""
    helm_program.run("package", str(CHART), "--destination", str(tmp_path / "parent" / "charts"))
    parent = {"apiVersion": "v2", "name": "parent", "version": "1.0.0"}
    parent["dependencies"] = [{"name": "conch", "version": "0.1.0"}]  # type: ignore[assignment]
    (tmp_path / "parent" / "Chart.yaml").write_text(yaml.safe_dump(parent))
    arguments = ("--set", "global.imageRegistry=registry.example.com,conch.logLevel=debug")
    rendered = helm_program.render(*arguments, chart=tmp_path / "parent")
    assert "--log-level=debug" in rendered.container["args"]


@pytest.mark.parametrize("version", ["1.34.0", "v1.34.1-gke.1", "v1.37.2", "v1.40.0+k3s1"])
def test_kubernetes_that_will_do(helm_program: Helm, version: str) -> None:
    assert helm_program.render("--kube-version", version).kinds() == EVERYTHING


@pytest.mark.parametrize("version", ["1.33.9", "v1.33.12-eks-113cf36"])
def test_kubernetes_that_is_too_old(helm_program: Helm, version: str) -> None:
    with pytest.raises(Refused, match=r"chart requires kubeVersion: >=1\.34\.0-0"):
        helm_program.text("--kube-version", version)


def notes(helm_program: Helm, *arguments: str) -> str:
    printed = helm_program.run(
        "install", "conch", str(CHART), "--dry-run=client", "--namespace", "conch-system", *arguments
    )
    return printed[printed.index("NOTES:") :]


def test_notes_say_what_to_do_next(helm_program: Helm) -> None:
    text = notes(helm_program, "--set", "image.registry=registry.example.com")
    commands = [line.strip() for line in text.splitlines() if line.strip().startswith("kubectl ")]
    assert commands == [
        "kubectl --namespace conch-system rollout status deployment/conch",
        "kubectl explain llmdeployment.spec --recursive",
        "kubectl get llmdeployments --all-namespaces",
    ]
    assert "None is published yet" not in text


def test_notes_warn(helm_program: Helm) -> None:
    text = notes(helm_program, "--set", "rbac.create=false")
    assert 'The operator\'s image is "conch-operator:0.1.0", without a registry. None is published yet' in text
    assert "rbac.create is off" in text


def test_metadata_is_true() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    definition = custom_resource_definition()
    (resource,) = yaml.safe_load(chart["annotations"]["artifacthub.io/crds"])
    assert resource["name"] == definition["metadata"]["name"]
    assert resource["kind"] == definition["spec"]["names"]["kind"]
    assert [resource["version"]] == [version["name"] for version in definition["spec"]["versions"]]
    assert "Apache License" in (REPOSITORY / "LICENSE").read_text()
    assert chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"


def test_bundle_for_kubectl_is_what_make_manifests_writes(helm_program: Helm) -> None:
    """`make manifests` is the chart with its CRD; dry-run only prints the recipe."""
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "manifests"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert "template conch charts/conch --namespace conch-system " in recipe
    assert "> build/conch.yaml" in recipe
    assert ("CustomResourceDefinition", CRD_NAME) in helm_program.render().kinds()
