"""A running cluster, as tests and the demo hold it: ours, or any that a kubeconfig names."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cluster import binaries
from cluster.audit import AuditLog
from cluster.control import Control
from cluster.credentials import Credentials, Identity
from cluster.failure import ClusterFailure
from cluster.helm import helm
from cluster.namespaces import entering
from cluster.prerequisites import search_path
from cluster.state import StateFolder


@dataclass(frozen=True, slots=True)
class Cluster:
    """`state` is None for a cluster that is not ours: then there is no audit log, no agent and no way inside."""

    kubeconfig: Path
    state: StateFolder | None
    programs: Mapping[str, Path]

    @classmethod
    def ours(cls, state: StateFolder) -> Self:
        """The local cluster of that folder. Raises `ClusterFailure` if it does not run."""
        Control(state.control_socket).status()
        return cls(state.kubeconfig, state, {name: state.programs / name for name in ("kubectl", "helm")})

    @classmethod
    def named(cls, kubeconfig: Path) -> Self:
        """The cluster of a kubeconfig: ours if it lies in the state folder of a local cluster that runs."""
        state = StateFolder(kubeconfig.resolve().parent)
        if state.settings.is_file() and Control(state.control_socket).supervisor() is not None:
            return cls.ours(state)
        kubectl = shutil.which("kubectl") or binaries.control_plane() / "kubectl"
        return cls(kubeconfig, None, {"kubectl": Path(kubectl), "helm": helm()})

    @property
    def has_agent(self) -> bool:
        """Whether nodes are played by the node agent, which runs what no real node here could."""
        return self.state is not None

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints. Raises `ClusterFailure` with its complaint."""
        return self._run((str(self.programs["kubectl"]), *arguments), stdin)

    def helm(self, *arguments: str, stdin: str | None = None) -> str:
        """What helm prints. Raises `ClusterFailure` with its complaint."""
        return self._run((str(self.programs["helm"]), *arguments), stdin)

    def enter(self, *command: str, stdin: str | None = None) -> str:
        """What a command prints that runs inside, where pods and Services can be reached."""
        return self._run(self.entering(*command), stdin)

    def entering(self, *command: str) -> tuple[str, ...]:
        """The command line that runs `command` inside, for those who want to hold the process."""
        supervisor = self.control().supervisor()
        if supervisor is None:
            raise ClusterFailure(f"The cluster of {self._own().root} does not run.")
        return (*entering(supervisor), *command)

    def audit(self) -> AuditLog:
        """Who asked the API server for what."""
        return AuditLog(self._own().audit_log, lambda path: self.kubectl("get", "--raw", path))

    def control(self) -> Control:
        """Stops, kills, freezes and starts components."""
        return Control(self._own().control_socket)

    def token(self, identity: Identity) -> str:
        """The bearer token of one of the identities in `cluster.credentials`."""
        return Credentials(self._own().credentials).token(identity)

    def environment(self) -> dict[str, str]:
        """For processes that shall use this cluster: kubectl and helm on PATH, nothing remembered between clusters."""
        folders = dict.fromkeys(str(program.parent) for program in self.programs.values())
        path = os.pathsep.join([*folders, search_path()])
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}
        if self.state:
            caches = {"KUBECACHEDIR": "kubectl", "HELM_CACHE_HOME": "helm", "HELM_CONFIG_HOME": "helm"}
            environment |= {name: str(self.state.root / "cache" / folder) for name, folder in caches.items()}
        return environment

    def _own(self) -> StateFolder:
        if self.state is None:
            raise ClusterFailure(f"{self.kubeconfig} names no local cluster: this works with those alone.")
        return self.state

    def _run(self, command: tuple[str, ...], stdin: str | None) -> str:
        outcome = subprocess.run(
            command, input=stdin or "", env=self.environment(), capture_output=True, text=True, check=False
        )
        if outcome.returncode != 0:
            raise ClusterFailure(f"{' '.join(command)}\nexit code {outcome.returncode}: {outcome.stderr.strip()}")
        return outcome.stdout
