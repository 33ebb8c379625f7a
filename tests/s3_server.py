# SPDX-License-Identifier: Apache-2.0
"""Object storage for tests: moto's S3 in a process of its own, with writes one at a time and faults on demand.

SQS and SNS are at the same port; `make_queue` gives a queue that a bucket tells of its events.

A commit to a Delta table in S3 is a conditional PUT. moto lets two of them win now and then if they run at once, so
`Serialised` reads a request's body first and then holds one lock until its answer is complete.

    python -m tests.s3_server        serves until stdin ends; prints the environment to use it with
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest import mock

CHECKOUT = Path(__file__).resolve().parents[1]
KEY_ID, SECRET = "AKIAONLYFORTESTSOFLAKE", "s3cret/that+no/log/may+show"
WRITES = ("PUT", "POST", "DELETE")
CONTROL = "/_faults"  # no bucket has such a name
KINDS = ("500 InternalError", "503 SlowDown", "drop")
ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>Injected by the test.</Message></Error>"

Environ = dict[str, Any]
Application = Callable[..., Iterable[bytes]]


@dataclass(frozen=True)
class Faults:
    """Shares of calls that fail or hang; half of each take effect nevertheless.

    unlisted : the caller may not list, and so hears "denied" of what is not there. spoil : A becomes B on its way.
    only : a part of the keys that are got wrongly, `times` times: "denied" refuses the object, "cut" gives half of what
        was asked for, "stale" other bytes of the same length; "cut stale" is the one, then the other.
    """

    fail: float = 0.0
    hang: float = 0.0
    hang_seconds: float = 30.0
    seed: int = 0
    unlisted: bool = False
    spoil: bool = False
    only: str = ""
    times: int = 0
    wrong: str = "denied"


def _read_body(environ: Environ) -> bytes:
    """The whole body of a request, which can be read once more afterwards."""
    length = environ.get("CONTENT_LENGTH")
    chunked = "HTTP_TRANSFER_ENCODING" in environ
    body: bytes = environ["wsgi.input"].read() if chunked else environ["wsgi.input"].read(int(length or 0))
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
    return body


def _drained(answer: Iterable[bytes]) -> list[bytes]:
    """All bytes of an answer."""
    try:
        return list(answer)
    finally:
        getattr(answer, "close", lambda: None)()


class Serialised:
    """Runs writes one at a time; reads pass."""

    def __init__(self, app: Application) -> None:
        self.app, self.lock = app, threading.Lock()

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """The answer of the application."""
        # Who waits for a message would hold the lock for as long.
        if environ["REQUEST_METHOD"] not in WRITES or environ.get("HTTP_X_AMZ_TARGET", "").startswith("AmazonSQS."):
            return self.app(environ, start)
        _read_body(environ)
        with self.lock:
            return _drained(self.app(environ, start))


class Faulty:
    """Lets a share of calls fail (500, 503, a dropped connection) or hang, before or after they took effect."""

    def __init__(self, app: Application) -> None:
        self.app, self.lock = app, threading.Lock()
        self._set(Faults())

    def _set(self, faults: Faults) -> None:
        self.faults, self.random = faults, random.Random(faults.seed)
        self.counts = {"calls": 0, "failed": 0, "hung": 0}

    def __call__(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """The answer of the application, or of a fault."""
        if environ["PATH_INFO"] == CONTROL:
            return self._control(environ, start)
        kind, takes_effect = self._fate()
        if not kind:
            return self._answer(environ, start)
        _read_body(environ)
        if takes_effect:
            _drained(self.app(environ, lambda *_: None))
        if kind == "hang":
            time.sleep(self.faults.hang_seconds)
        if kind in {"hang", "drop"}:
            raise ConnectionAbortedError("Injected by the test.")  # the server closes without an answer
        start(kind, [("Content-Type", "application/xml")])
        return [ERROR.format(kind[4:]).encode()]

    def _answer(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """The answer of the application, to whom it may answer, about what came through."""
        if self.faults.spoil and environ["REQUEST_METHOD"] == "PUT":
            environ["wsgi.input"] = io.BytesIO(_read_body(environ).replace(b"A", b"B"))
        if environ["REQUEST_METHOD"] == "GET" and self._is_wrong(environ["PATH_INFO"]):
            return self._wrong(environ, start)
        if not self.faults.unlisted or environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return self.app(environ, start)
        told: list[Any] = []
        answer = _drained(self.app(environ, lambda *args: told.extend(args)))
        if "list-type" in environ.get("QUERY_STRING", "") or told[0].startswith("404"):
            told[:2], answer = ["403 Forbidden", []], [ERROR.format("AccessDenied").encode()]
        start(*told)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else answer

    def _is_wrong(self, path: str) -> bool:
        with self.lock:
            hit = bool(self.faults.only) and self.faults.only in path and self.counts["failed"] < self.faults.times
            self.counts["failed"] += hit
            return hit

    def _wrong(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """An object that may not be got, the half of it, or other bytes."""
        kinds = self.faults.wrong.split()
        kind = kinds[min(self.counts["failed"], len(kinds)) - 1]
        if kind == "denied":
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [ERROR.format("AccessDenied").encode()]
        body = b"".join(self.app(environ, start))
        return [body[: len(body) // 2]] if kind == "cut" else [bytes(byte ^ 1 for byte in body)]

    def _fate(self) -> tuple[str, bool]:
        with self.lock:
            chance, kind, takes_effect = self.random.random(), self.random.choice(KINDS), self.random.random() < 0.5
            self.counts["calls"] += 1
            if chance < self.faults.fail:
                self.counts["failed"] += 1
                return kind, takes_effect
            if chance < self.faults.fail + self.faults.hang:
                self.counts["hung"] += 1
                return "hang", takes_effect
            return "", True

    def _control(self, environ: Environ, start: Callable[..., Any]) -> list[bytes]:
        """PUT sets the faults; either method answers what was counted since they were set before."""
        with self.lock:
            answer = json.dumps(self.counts).encode()
            if environ["REQUEST_METHOD"] == "PUT":
                self._set(Faults(**json.loads(_read_body(environ))))
        start("200 OK", [("Content-Type", "application/json")])
        return [answer]


def serve() -> None:
    """Serve until stdin ends, which it does when the process that started this one is gone, however it went."""
    import logging  # noqa: PLC0415  what only the server needs: moto changes botocore when it is imported

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import make_server  # noqa: PLC0415

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    app = Faulty(Serialised(DomainDispatcherApplication(create_backend_app)))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in Server(server.server_port).environment.items():
        print(f"export {name}={value}", flush=True)
    print(f"port {server.server_port}", file=sys.stderr, flush=True)
    sys.stdin.read()
    os._exit(0)


@dataclass(frozen=True)
class Server:
    """A running server; its buckets are gone when it ends."""

    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables by which every S3 client in a process finds it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            **NO_OTHER_CREDENTIALS,
        }

    def make_bucket(self) -> str:
        """The name of a new, empty bucket."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        self._call("PUT", f"/{name}")
        return name

    def make_queue(self, bucket: str, of: str = "") -> str:
        """The URL of a new queue that a bucket tells of what is put below a prefix; its first message is a test."""
        import boto3  # noqa: PLC0415  half a second that only tests of queues pay

        clients = {"region_name": "us-east-1", "endpoint_url": self.environment["AWS_ENDPOINT_URL"]}
        keys = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET}
        sqs, s3 = (boto3.client(service, **clients, **keys) for service in ("sqs", "s3"))
        url: str = sqs.create_queue(QueueName=f"events-{uuid.uuid4().hex[:12]}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        prefixes = {"Key": {"FilterRules": [{"Name": "prefix", "Value": of}]}}
        rule = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], "Filter": prefixes}
        told = {"QueueConfigurations": [rule]}
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)
        return url

    @contextmanager
    def faults(self, faults: Faults) -> Iterator[dict[str, int]]:
        """Inject faults in the block; after it the dictionary holds how many calls there were, failed and hung."""
        counts: dict[str, int] = {}
        self._call("PUT", CONTROL, asdict(faults))
        try:
            yield counts
        finally:
            counts.update(json.loads(self._call("PUT", CONTROL, asdict(Faults()))))

    def _call(self, method: str, path: str, content: dict[str, Any] | None = None) -> bytes:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            credential = f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260101/us-east-1/s3/aws4_request, Signature=0"
            body = json.dumps(content) if content else None
            connection.request(method, path, body, {"Authorization": credential})
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        assert response.status == 200, answer
        return answer


NO_OTHER_CREDENTIALS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE")


@contextmanager
def s3_server() -> Iterator[Server]:
    """A server of one's own; it ends with the block, or with this process."""
    command = [sys.executable, "-m", "tests.s3_server"]
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    with subprocess.Popen(command, cwd=CHECKOUT, text=True, stdin=pipe, stdout=null, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("port "), line + process.stderr.read()
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield Server(int(line.split()[1]))
        finally:
            process.stdin.close()


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for the block; as before afterwards."""
    with mock.patch.dict(os.environ, values):
        for name in UNSET:
            os.environ.pop(name, None)
        yield


@contextmanager
def fresh_bucket(server: Server) -> Iterator[str]:
    """Address of an empty place in a bucket of its own, and the environment to reach it."""
    with environment(server.environment):
        yield f"s3://{server.make_bucket()}/a/lake"


@contextmanager
def fresh_prefix(address: str) -> Iterator[str]:
    """Address of an empty place below a real one, with the environment as it is; what was written is removed."""
    root = f"{address.rstrip('/')}/{uuid.uuid4().hex}"
    try:
        yield root
    finally:
        _remove_all(root)


def _remove_all(root: str) -> None:
    import boto3  # noqa: PLC0415  a second that only this tier pays

    bucket, _, prefix = root.removeprefix("s3://").partition("/")
    boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=f"{prefix}/").delete()


if __name__ == "__main__":
    serve()
