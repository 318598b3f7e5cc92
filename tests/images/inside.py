"""Runs inside the simulator's image, given the engine's command: serves, asks, ends it, and prints what it saw as JSON.

It uses the standard library alone, as it is handed to the image's Python as text.
"""

import json
import subprocess
import sys
import time
import urllib.request

BASE = "http://127.0.0.1:8000"
DEADLINE = time.monotonic() + 60


def ready() -> int:
    while True:
        try:
            with urllib.request.urlopen(f"{BASE}/v2/health/ready", timeout=5) as answer:
                return int(answer.status)
        except OSError:
            if time.monotonic() > DEADLINE:
                raise
            time.sleep(0.2)


def generate(model: str) -> dict[str, object]:
    body = json.dumps({"text_input": "The sea is", "parameters": {"max_tokens": 8}}).encode()
    with urllib.request.urlopen(f"{BASE}/v2/models/{model}/generate", body, timeout=20) as answer:
        return dict(json.load(answer))


def main(model: str, *command: str) -> None:
    engine = subprocess.Popen(command)
    try:
        seen = {"ready": ready(), "generated": generate(model)}
        engine.terminate()
        print(json.dumps({**seen, "exit_code": engine.wait(30)}))
    finally:
        engine.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
