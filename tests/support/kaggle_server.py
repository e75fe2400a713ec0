"""A server of Kaggle's download protocol on a loopback port, with network faults, for the real kagglehub client.

kagglehub sends a POST to .../DownloadDataset, is redirected to the archive, and sends a GET for it. A client that has a
part of the archive requests only the rest. The variables of `make_environment` make the client use this server as its
proxy and look for Kaggle on localhost.
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
from typing import Literal
from urllib.parse import urlsplit

Endpoint = Literal["download", "about", "archive"]  # DownloadDataset, GetDataset, and the archive itself
SIGNATURE = "signed-by-the-storage"


@dataclass(frozen=True)
class Fault:
    """A fault in the next `times` responses of an endpoint.

    `cut` is the fraction of the archive after which a response breaks off. With `stall` the server sends nothing for
    10 seconds, at `cut` or before the response. `retry_after` is the header Retry-After. With `wrong_md5` the checksum
    in the response is wrong. With `no_ranges` the whole archive is sent even if the client requests a part. With `text`
    the body is this text, which is called JSON.
    """

    endpoint: Endpoint
    status: int = 200
    times: int = 1
    retry_after: str | None = None
    cut: float | None = None
    stall: bool = False
    wrong_md5: bool = False
    no_ranges: bool = False
    text: str | None = None


@dataclass
class KaggleServer:
    """The state of the server: archives by (owner, name, version), faults still to be served, and requests received."""

    datasets: dict[tuple[str, str, int], bytes]
    licence: str | None = None
    faults: list[Fault] = field(default_factory=list)
    sends_md5: bool = True
    requests: list[Endpoint] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    authorizations: dict[str, set[str | None]] = field(default_factory=dict)  # by host
    port: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def count_requests(self) -> tuple[int, int, int]:
        """Return the numbers of requests for DownloadDataset, the archive and GetDataset."""
        return self.requests.count("download"), self.requests.count("archive"), self.requests.count("about")

    def take_fault(self, endpoint: Endpoint) -> Fault:
        """Return the fault for the next response of the endpoint; a `Fault` without effect if none is left."""
        for number, fault in enumerate(self.faults):
            if fault.endpoint == endpoint:
                times = fault.times - 1
                self.faults[number : number + 1] = [Fault(**vars(fault) | {"times": times})] if times else []
                return fault
        return Fault(endpoint)


def make_environment(port: int, home: Path) -> dict[str, str]:
    """Return the variables that make kagglehub use the server on `port`, and keep its cache and settings in `home`."""
    return {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "http_proxy": f"http://127.0.0.1:{port}",
        "no_proxy": "127.0.0.1",
        "KAGGLEHUB_CACHE": str(home / "kagglehub"),
        "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
        "HOME": str(home),
    }


@contextmanager
def serve(datasets: dict[tuple[str, str, int], bytes]) -> Iterator[KaggleServer]:
    """Serve the data sets on a free port of 127.0.0.1 until the context ends."""
    kaggle = KaggleServer(datasets)

    class BoundHandler(_Handler):
        state = kaggle

    with ThreadingHTTPServer(("127.0.0.1", 0), BoundHandler) as server:
        kaggle.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kaggle
        finally:
            kaggle.closed.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    state: KaggleServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        dataset = request["ownerSlug"], request["datasetSlug"]
        versions = [key[2] for key in self.state.datasets if key[:2] == dataset]
        if self.path.endswith("/v1/datasets.DatasetApiService/GetDataset"):
            fault = self._begin("about")
            metadata = {"currentVersionNumber": max(versions, default=0), "licenseName": self.state.licence}
            self._respond(fault, json.dumps(metadata).encode() if versions else b"", {}, 200 if versions else 404)
        else:
            fault = self._begin("download")
            version = request["datasetVersionNumber"]
            url = f"http://127.0.0.1:{self.state.port}/{'/'.join(dataset)}/{version}.zip?{SIGNATURE}"
            self._respond(fault, b"", {"Location": url}, 302 if version in versions else 404)

    def do_GET(self) -> None:
        # A request through the proxy has a whole URL as its path; one that resumes a download has not.
        fault = self._begin("archive")
        owner, name, version = urlsplit(self.path).path.removesuffix(".zip").strip("/").split("/")
        content = self.state.datasets[owner, name, int(version)]
        byte_range = None if fault.no_ranges else self.headers["Range"]
        self.state.ranges.append(self.headers["Range"])
        start = int(byte_range.removeprefix("bytes=").rstrip("-")) if byte_range else 0
        digest = base64.b64encode(hashlib.md5(b"other" if fault.wrong_md5 else content).digest()).decode()
        headers = {"Accept-Ranges": "bytes", "Content-Type": "application/zip"}
        if self.state.sends_md5:
            headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={digest}"
        self._respond(fault, content[start:], headers, 206 if byte_range else 200, start)

    def _begin(self, endpoint: Endpoint) -> Fault:
        self.state.requests.append(endpoint)
        host = "the API" if endpoint != "archive" else "the storage"
        self.state.authorizations.setdefault(host, set()).add(self.headers["Authorization"])
        return self.state.take_fault(endpoint)

    def _respond(self, fault: Fault, body: bytes, headers: dict[str, str], status: int, start: int = 0) -> None:
        """Send a response with the `fault`; `body` is the archive without its first `start` bytes."""
        if fault.status != 200:
            status, body, headers = fault.status, f"an error page, {SIGNATURE}".encode() * 99, {}
        if fault.text is not None:
            body = fault.text.encode()
        if fault.stall and fault.cut is None:
            self.state.closed.wait(10)
        self.send_response(status)
        if fault.retry_after:
            headers = headers | {"Retry-After": fault.retry_after}
        headers = {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json" if body else "x/y",
        } | headers
        if status >= 400:
            headers["Content-Type"] = "text/html"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        end = len(body) if fault.cut is None else max(0, int(fault.cut * (start + len(body))) - start)
        try:
            self.wfile.write(body[:end])
            if fault.stall and fault.cut is not None:
                self.wfile.flush()
                self.state.closed.wait(10)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client requests the rest separately
        self.close_connection = self.close_connection or end < len(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""
