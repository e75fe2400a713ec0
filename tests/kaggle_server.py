"""Kaggle's download protocol on a loopback port, for the real kagglehub client, with the faults of a real network.

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
from typing import Literal
from urllib.parse import urlsplit

Question = Literal["download", "about", "archive"]  # DownloadDataset, GetDataset, and the archive itself
SIGNATURE = "signed-by-the-storage"


@dataclass(frozen=True)
class Fault:
    """What is wrong with the answer to a question: to the next one, and to so many `times`.

    Archives break off when `cut`, a share of the whole, is reached. With `stall` the server falls silent: there, or
    before it has said anything.
    """

    question: Question
    status: int = 200
    times: int = 1
    retry_after: str | None = None
    cut: float | None = None
    stall: bool = False
    wrong_md5: bool = False
    no_ranges: bool = False


@dataclass
class Kaggle:
    """What is served, by (owner, name, version), what will go wrong, and what was asked."""

    datasets: dict[tuple[str, str, int], bytes]
    licence: str | None = None
    faults: list[Fault] = field(default_factory=list)
    says_md5: bool = True
    asked: list[Question] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    authorizations: dict[str, set[str | None]] = field(default_factory=dict)  # by the host that was asked
    port: int = 0
    closed: threading.Event = field(default_factory=threading.Event)

    def counts(self) -> tuple[int, int, int]:
        """Return how often DownloadDataset, the archive and GetDataset were asked for."""
        return self.asked.count("download"), self.asked.count("archive"), self.asked.count("about")

    def fault(self, question: Question) -> Fault:
        """Return what is wrong this time."""
        for number, fault in enumerate(self.faults):
            if fault.question == question:
                left = fault.times - 1
                self.faults[number : number + 1] = [Fault(**vars(fault) | {"times": left})] if left else []
                return fault
        return Fault(question)


def environment(port: int, home: Path) -> dict[str, str]:
    """Return the variables that lead kagglehub to a server on this port, with its cache and its settings in `home`."""
    return {
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "http_proxy": f"http://127.0.0.1:{port}",
        "no_proxy": "127.0.0.1",
        "KAGGLEHUB_CACHE": str(home / "kagglehub"),
        "KAGGLE_CONFIG_DIR": str(home / ".kaggle"),
        "HOME": str(home),
    }


@contextmanager
def serve(datasets: dict[tuple[str, str, int], bytes]) -> Iterator[Kaggle]:
    """Serve the data sets on a free port of 127.0.0.1 until left."""
    kaggle = Kaggle(datasets)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = {version: key for key in kaggle.datasets for version in [key[2]] if key[:2] == self._named(asked)}
            if self.path.endswith("/v1/datasets.DatasetApiService/GetDataset"):
                fault = self._begin("about")
                about = {"currentVersionNumber": max(known, default=0), "licenseName": kaggle.licence}
                self._answer(fault, json.dumps(about).encode() if known else b"", {}, 200 if known else 404)
            else:
                fault = self._begin("download")
                version = asked["datasetVersionNumber"]
                place = f"http://127.0.0.1:{kaggle.port}/{'/'.join(self._named(asked))}/{version}.zip?{SIGNATURE}"
                self._answer(fault, b"", {"Location": place}, 302 if version in known else 404)

        def do_GET(self) -> None:
            # Through the proxy the path is a whole URL, when resuming it is not.
            fault = self._begin("archive")
            owner, name, version = urlsplit(self.path).path.removesuffix(".zip").strip("/").split("/")
            whole = kaggle.datasets[owner, name, int(version)]
            wanted = None if fault.no_ranges else self.headers["Range"]
            kaggle.ranges.append(self.headers["Range"])
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            digest = base64.b64encode(hashlib.md5(b"other" if fault.wrong_md5 else whole).digest()).decode()
            headers = {"Accept-Ranges": "bytes", "Content-Type": "application/zip"}
            if kaggle.says_md5:
                headers["x-goog-hash"] = f"crc32c=AAAAAA==,md5={digest}"
            self._answer(fault, whole[start:], headers, 206 if wanted else 200, start)

        def _named(self, asked: dict[str, str]) -> tuple[str, str]:
            return asked["ownerSlug"], asked["datasetSlug"]

        def _begin(self, question: Question) -> Fault:
            kaggle.asked.append(question)
            host = "the API" if question != "archive" else "the storage"
            kaggle.authorizations.setdefault(host, set()).add(self.headers["Authorization"])
            return kaggle.fault(question)

        def _answer(self, fault: Fault, body: bytes, headers: dict[str, str], status: int, start: int = 0) -> None:
            if fault.status != 200:
                status, body, headers = fault.status, f"an error page, {SIGNATURE}".encode() * 99, {}
            if fault.stall and fault.cut is None:
                kaggle.closed.wait(10)
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
                    kaggle.closed.wait(10)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client asks for the rest in another request
            self.close_connection = self.close_connection or end < len(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kaggle.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield kaggle
        finally:
            kaggle.closed.set()
            server.shutdown()
            thread.join()
