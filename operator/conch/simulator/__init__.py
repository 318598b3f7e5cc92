"""An engine without a GPU: it speaks Triton's HTTP and metrics, and its tokens come at the pace of a latency model.

`container` runs one, `batch` is its clock-free heart, which a simulation in virtual time can drive as well.
"""
