"""Servers to compare with: `python -m benches.ceiling receive|read|naive|fixed --port P`.

`receive` takes the chunks as they come, drops them and answers: nothing that reads a body over aiohttp can be faster.
`read` does it with `await request.read()`; aiohttp gathers the body in one buffer for it. `naive` does what a handler
in plain Python would do to check the numbers, and stores nothing. `fixed` reads the body and answers the same bytes
every time.
"""

import argparse
import io
from collections.abc import Awaitable, Callable

import numpy as np
import orjson
import uvloop
from aiohttp import web

LARGEST_BODY = 256 * 2**20
PATH = "/embeddings/insert-raw-embeddings"
SEARCH_PATH = "/embeddings/search-raw-embeddings"

Handler = Callable[[web.Request], Awaitable[web.Response]]


async def receive(request: web.Request) -> web.Response:
    """The bare ceiling: the body is received, no byte of it is looked at or kept."""
    size = 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
    return web.json_response({"bytes": size})


async def read(request: web.Request) -> web.Response:
    """The body in one piece."""
    body = await request.read()
    return web.json_response({"bytes": len(body)})


async def naive(request: web.Request) -> web.Response:
    """`orjson.loads`, `np.asarray`, `np.isfinite`; `np.load` for npy."""
    body = await request.read()
    if request.content_type == "application/x-npy":
        array = np.load(io.BytesIO(body), allow_pickle=False)
    else:
        array = np.asarray(orjson.loads(body)["embeddings"], np.float32)
    if not np.isfinite(array).all():
        raise web.HTTPBadRequest
    return web.json_response({"rows": len(array)})


HANDLERS: dict[str, Handler] = {"receive": receive, "read": read, "naive": naive}


def fixed(answer: bytes) -> Handler:
    """A handler that reads the body and answers `answer`."""

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=answer, content_type="application/json")

    return handler


async def ready(request: web.Request) -> web.Response:
    """As ours: 200 once it serves."""
    return web.Response()


def main() -> None:
    """Serves until it is told to end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("handler", choices=[*HANDLERS, "fixed"])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answer-bytes", type=int, default=100, help="of `fixed`")
    options = parser.parse_args()
    # As ours: with more in its buffers it is slower.
    app = web.Application(client_max_size=LARGEST_BODY, handler_args={"read_bufsize": 1 << 17})
    handler = HANDLERS.get(options.handler) or fixed(b" " * options.answer_bytes)
    for path in (PATH, SEARCH_PATH):
        app.router.add_post(path, handler)
    app.router.add_get("/readyz", ready)
    app.router.add_get("/healthz", ready)
    web.run_app(
        app, host="127.0.0.1", port=options.port, print=None, access_log=None, loop=uvloop.new_event_loop()
    )


if __name__ == "__main__":
    main()
