"""A load generator for engines: asynchronous, bounded in count and time, counted at the client.

Run as a pod (`python -m load URL MODEL ...`) it reaches ClusterIPs; its last line is its result as JSON.
"""
