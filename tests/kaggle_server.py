"""Kaggle's download protocol on a loopback port, for the real kagglehub client.

kagglehub POSTs to .../DownloadDataset, is redirected to the archive, and GETs it, from where it stopped if it can.
`environment` is all that the client needs to come here instead of to kaggle.com: it believes to talk to a Kaggle on
localhost through a proxy, which is this server.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Kaggle:
    """What is served, and what was asked.

    Data sets are archives by (owner, name, version). A `status` other than 200 answers every question about one;
    `break_after` cuts off the next archive after so many bytes, once.
    """

    datasets: dict[tuple[str, str, int], bytes]
    status: int = 200
    break_after: int | None = None
    asked: list[dict[str, object]] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    port: int = 0


def environment(port: int, home: Path) -> dict[str, str]:
    """Return the variables that lead kagglehub to a server on this port, with its cache and its settings in `home`."""
    return {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "http_proxy": f"http://127.0.0.1:{port}",
        "no_proxy": "127.0.0.1",
        "KAGGLEHUB_CACHE": str(home / "kagglehub"),
        "HOME": str(home),
    }


@contextmanager
def serve(datasets: dict[tuple[str, str, int], bytes]) -> Iterator[Kaggle]:
    """Serve the data sets on a free port of 127.0.0.1 until left."""
    kaggle = Kaggle(datasets)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kaggle.asked.append(asked)
            key = (asked["ownerSlug"], asked["datasetSlug"], asked["datasetVersionNumber"])
            status = kaggle.status if key in kaggle.datasets else 404
            if status != 200 or not self.path.endswith("/v1/datasets.DatasetApiService/DownloadDataset"):
                return self._answer(status if status != 200 else 404, b'{"message": "no"}', {})
            self._answer(
                302, b"", {"Location": f"http://127.0.0.1:{kaggle.port}/{key[0]}/{key[1]}/{key[2]}.zip?secret=s"}
            )

        def do_GET(self) -> None:
            # Through the proxy the path is a whole URL, when resuming it is not.
            owner, name, version = urlsplit(self.path).path.removesuffix(".zip").strip("/").split("/")
            whole = kaggle.datasets[owner, name, int(version)]
            wanted = self.headers["Range"]
            kaggle.ranges.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            digest = base64.b64encode(hashlib.md5(whole).digest()).decode()
            headers = {"Accept-Ranges": "bytes", "Content-Type": "application/zip", "x-goog-hash": f"md5={digest}"}
            self._answer(206 if wanted else 200, whole[start:], headers)

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in (
                {"Content-Length": str(len(body)), "Content-Type": "application/json"} | headers
            ).items():
                self.send_header(name, value)
            self.end_headers()
            if kaggle.break_after is not None and len(body) > kaggle.break_after:
                self.wfile.write(body[: kaggle.break_after])
                kaggle.break_after = None
                self.close_connection = True
            else:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kaggle.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield kaggle
        finally:
            server.shutdown()
            thread.join()
