"""Tests of the node agent: its parts alone, and the whole on the real control plane."""
