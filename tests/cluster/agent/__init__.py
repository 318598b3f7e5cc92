"""A node agent: what the kubelets of a whole cluster do, for pods that are engine simulators or plain processes.

    watch -> pod -> volumes, environment -> containers -> probes -> status

Read in this order: `agent` (the pods bound to our nodes), `pod` (one pod from its binding to its end), `container` (one
container with its restarts), `status` (what the API server is told, pure). `images` says what an image runs,
`simulated` and `process` how; `faults` and `control` what can be made to go wrong.

    python -m cluster.agent --kubeconfig FILE --state DIR --bridge NAME
"""
