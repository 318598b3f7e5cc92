"""The demo: Conch from installation to deletion on a real control plane, told line by line. `make demo` runs it."""
