"""Who may do what: exact tables, so that a new right is a change of a test too."""

from typing import Any

import pytest

from chart.rendering import Helm, Rendered
from conch.controller.caches import CHILDREN, LLM_DEPLOYMENT
from conch.kube.resources import EVENT

OPERATOR = {
    "conch.dev llmdeployments": "get list watch",
    "conch.dev llmdeployments/status": "patch",
    "conch.dev llmdeployments/finalizers": "update",
    " pods": "list watch patch delete",
    " serviceaccounts": "get list watch create patch",
    " services": "get list watch create patch",
    " configmaps": "get list watch create patch delete",
    "policy poddisruptionbudgets": "get list watch create patch",
    "apps controllerrevisions": "get list watch create patch delete",
    "apps replicasets": "get list watch create patch delete",
    "events.k8s.io events": "create patch",
}
VIEWERS = {
    "conch.dev llmdeployments": "get list watch",
    "conch.dev llmdeployments/scale": "get",
    "conch.dev llmdeployments/status": "get",
}
EDITORS = {
    "conch.dev llmdeployments": "create delete deletecollection patch update",
    "conch.dev llmdeployments/scale": "patch update",
}


def table(role: dict[str, Any]) -> dict[str, str]:
    """Rules by resource. A resource that two rules name, or a rule limited to names, is not expected."""
    rows: dict[str, str] = {}
    for rule in role["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert f"{group} {resource}" not in rows
                rows[f"{group} {resource}"] = " ".join(rule["verbs"])
    return rows


def test_operator(default: Rendered) -> None:
    assert table(default.one("ClusterRole")) == OPERATOR


def test_operator_watches_exactly_what_its_caches_hold() -> None:
    watched = {row for row, verbs in OPERATOR.items() if "watch" in verbs}
    assert watched == {f"{kind.group} {kind.plural}" for kind in (LLM_DEPLOYMENT, *CHILDREN.values())}
    assert f"{EVENT.group} {EVENT.plural}" in OPERATOR


def test_every_rule_has_its_reason(helm_program: Helm) -> None:
    text = helm_program.text("--show-only", "templates/clusterrole.yaml")
    lines = text[text.index("rules:") :].splitlines()
    starts = [number for number, line in enumerate(lines) if "- apiGroups" in line]
    # Services and PodDisruptionBudgets, ConfigMaps and slots: two groups of the API under one reason each.
    unexplained = [lines[number + 1].strip() for number in starts if not lines[number - 1].strip().startswith("#")]
    assert unexplained == ["resources: [poddisruptionbudgets]", "resources: [controllerrevisions, replicasets]"]


def test_binding(default: Rendered) -> None:
    binding = default.one("ClusterRoleBinding")
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "conch"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "conch", "namespace": "conch-system"}]


def test_users(default: Rendered) -> None:
    view, edit = (default.one("ClusterRole", f"conch-{role}") for role in ("view", "edit"))
    assert table(view) == VIEWERS
    assert table(edit) == EDITORS
    assert {key for key in view["metadata"]["labels"] if "aggregate" in key} == {
        "rbac.authorization.k8s.io/aggregate-to-view"
    }
    assert {key for key in edit["metadata"]["labels"] if "aggregate" in key} == {
        "rbac.authorization.k8s.io/aggregate-to-edit"
    }


@pytest.mark.parametrize(
    ("value", "roles"), [("rbac.aggregateClusterRoles=false", [("ClusterRole", "conch")]), ("rbac.create=false", [])]
)
def test_roles_can_be_left_out(helm_program: Helm, value: str, roles: list[tuple[str, str]]) -> None:
    rendered = helm_program.render("--set", value)
    assert [kind for kind in rendered.kinds() if kind[0] == "ClusterRole"] == roles
    bindings = [kind for kind in rendered.kinds() if kind[0] == "ClusterRoleBinding"]
    assert len(bindings) == len(roles)


def test_token_is_only_for_the_operators_pod(default: Rendered) -> None:
    assert default.one("ServiceAccount")["automountServiceAccountToken"] is False
    assert default.pod["spec"]["automountServiceAccountToken"] is True
    assert default.pod["spec"]["serviceAccountName"] == "conch"


def test_a_service_account_of_the_users_own(helm_program: Helm) -> None:
    rendered = helm_program.render("--set", "serviceAccount.create=false,serviceAccount.name=mine")
    assert not [kind for kind in rendered.kinds() if kind[0] == "ServiceAccount"]
    assert rendered.pod["spec"]["serviceAccountName"] == "mine"
    assert rendered.one("ClusterRoleBinding")["subjects"][0]["name"] == "mine"
