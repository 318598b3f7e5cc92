"""Conch: one LLMDeployment in, GPU pods that serve it out.

The flow: watch, observe, revise, plan, decide, render, apply, status.
"""
