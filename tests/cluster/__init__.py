"""A real Kubernetes control plane for tests, the demo and development, without containers or privileges.

etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kube-proxy are built from the Go modules pinned in
`controlplane/go.mod` and run in Linux namespaces of their own; a node agent (`cluster.agent`) plays the GPU nodes.

    python -m cluster up            a cluster in the background; prints what to export
    python -m cluster run -- CMD    a cluster for as long as CMD runs

Read in this order: `launch` (starts it), `supervisor` (the first process inside), `components` (what runs), `network`
(where), `cluster` (what tests hold), `fixtures` (pytest).
"""
