"""stac-fastapi-pgstac with the limits that public servers have; run by uvicorn in the servers' own environment.

``STOOK_LIMIT_PER_S`` requests a second are answered, others with 429 and Retry-After; searches of more than
``STOOK_LARGEST_PAGE`` items with 400.
"""

import json
import os
import time
from typing import Any

from stac_fastapi.pgstac.app import create_app

api = create_app()
PER_S = int(os.environ.get("STOOK_LIMIT_PER_S", "0"))
LARGEST = int(os.environ.get("STOOK_LARGEST_PAGE", "0"))
recent: list[float] = []


async def answer(send: Any, status: int, content: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> None:
    """Answer with JSON."""
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": [*kind, *headers]})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The API behind its limits."""
    if scope["type"] == "http":
        now = time.monotonic()
        recent[:] = [moment for moment in recent if moment > now - 1]
        if PER_S and len(recent) >= PER_S:
            await answer(send, 429, {"detail": "slow down"}, [(b"retry-after", b"1")])
            return
        recent.append(now)
        if LARGEST and scope["path"].endswith("/search") and scope["method"] == "POST":
            body = b""
            while (part := await receive()).get("more_body") or not body:
                body += part["body"]
                if not part.get("more_body"):
                    break
            limit = json.loads(body or b"{}").get("limit", 10)
            if limit > LARGEST:
                await answer(send, 400, {"description": f"limit must be at most {LARGEST}"}, [])
                return
            sent = False

            async def again() -> Any:
                nonlocal sent
                if sent:
                    return await receive()
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}

            await api(scope, again, send)
            return
    await api(scope, receive, send)
