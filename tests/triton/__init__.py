"""The real Triton, CPU only, with a stand-in for its vLLM backend; and what is checked on it and on the simulator."""
