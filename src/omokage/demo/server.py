"""Serve the page over HTTP, on one address, until Ctrl-C."""

import errno
import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware

from omokage.base.errors import UserError
from omokage.demo.actions import Actions

MAX_UPLOAD = "20mb"  # of an image; a larger upload is refused
STOP_SECONDS = 3  # to close the connections when a signal arrives
LOOPBACK = ("127.0.0.1", "::1", "localhost")
# The browser loads nothing from elsewhere, and shows the page in no frame. Gradio needs the exceptions for its scripts.
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; font-src 'self' data:; style-src 'self' 'unsafe-inline'; "
    "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; connect-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; port 0 is any free one. Raises UserError if the address is not free."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except socket.gaierror as error:
        raise UserError(f"--host {host}: {error.strerror}: expected an address of this machine") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"port {port} of {host} is in use: choose another with --port") from error
        reason = error.strerror or error
        raise UserError(
            f"cannot listen on port {port} of {host} ({reason}): choose another --host or --port"
        ) from error


def serve(actions: Actions, listener: socket.socket, host: str, announce: Callable[[str], None]) -> None:
    """Serve the page on a bound socket, until SIGINT or SIGTERM, which raise KeyboardInterrupt.

    `announce` gets the address of the page. Uploads are kept in a temporary folder until the end.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="omokage-demo-") as folder:
        # Read when Gradio is imported.
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_TEMP_DIR=folder)
        import gradio as gr

        from omokage.demo.page import CSS, build_page, make_theme

        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        gr.mount_gradio_app(
            app,
            build_page(actions),
            path="/",
            theme=make_theme(),
            css=CSS,
            footer_links=[],
            run_history=False,
            max_file_size=MAX_UPLOAD,
            show_error=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            enable_monitoring=False,
        )
        if host in LOOPBACK:
            # Otherwise a page elsewhere could use this one, by a name that it lets resolve to this address.
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])
        config = uvicorn.Config(
            _add_headers(app), log_level="warning", lifespan="on", timeout_graceful_shutdown=1, server_header=False
        )
        name, port = (f"[{host}]" if ":" in host else host), listener.getsockname()[1]
        announce(f"http://{name}:{port}/")
        _run(uvicorn.Server(config), listener)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Run the server in a thread, so that a signal need not wait for the computations of the server's own threads."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        thread.join()
    finally:
        # The page keeps a connection open, which uvicorn would report as an error.
        logging.getLogger("uvicorn.error").disabled = True
        server.should_exit = True
        thread.join(STOP_SECONDS)


def _add_headers(app: Any) -> Any:
    """Return the ASGI app with HEADERS in every response."""

    async def respond(scope: Any, receive: Any, send: Any) -> None:
        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *own]}
            await send(message)

        await app(scope, receive, send_with_headers)

    return respond
