"""`python -m integration.ask URL MODEL [--stream]`: one request to a model; prints what came as JSON."""

import argparse
import asyncio
import json
from typing import Any

import aiohttp


async def main(url: str, model: str, *, stream: bool) -> dict[str, Any]:
    """The answer, or the chunks of a streamed one."""
    body = {"text_input": "The sea is", "parameters": {"max_tokens": 16, "stream": stream}}
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        if not stream:
            async with session.post(f"{url}/v2/models/{model}/generate", json=body) as response:
                answer: dict[str, Any] = await response.json(content_type=None)
                return answer
        chunks = []
        async with session.post(f"{url}/v2/models/{model}/generate_stream", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    text = json.loads(line.removeprefix(b"data: "))["text_output"]
                    chunks.append(text)
                    print(text, end="", flush=True)
        print()
        return {"chunks": chunks}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("model")
    parser.add_argument("--stream", action="store_true")
    given = parser.parse_args()
    print(json.dumps(asyncio.run(main(given.url, given.model, stream=given.stream))))
