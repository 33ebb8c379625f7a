# SPDX-License-Identifier: Apache-2.0
"""A lake in object storage, `s3://bucket/prefix`: boto3 for objects, conditional writes wherever two may want one key.

Credentials, region and endpoint come from the usual AWS chain (environment, profile, role), asked anew for each use, so
that those of a role may change during a long night. They are in no address, no log and no message.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError
from pyarrow.fs import AwsDefaultS3RetryStrategy, FileSystem, S3FileSystem

from lake.config import read_settings
from lake.download_s3 import Facts, ObjectError, facts_of
from lake.errors import ConfigurationError, StorageError
from lake.files import folder_while_alive, reading, sha256_of, writing
from lake.lease_s3 import Lease, leased
from lake.storage import LOCKS, Entry

AT_ONCE = 8  # objects of a group that are written at the same time; each waits for the network
ATTEMPTS = 12  # of one call, with pauses that double
FIRST_ATTEMPTS = 4
CONNECT_SECONDS = 10.0
SURROUNDINGS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_REGION")
# HEAD has no body, so that a 403 of it gives no other reason; what lies in cold storage is in another state.
DENIED = ("403", "AccessDenied", "AllAccessDisabled", "InvalidObjectState")
ABSENT = ("404", "NoSuchKey", "NotFound", "NoSuchUpload")
TAKEN = ("412", "PreconditionFailed")
BUSY = ("409", "ConditionalRequestConflict")  # two writes of one key met; neither is known to have won
Result = TypeVar("Result")


def open_bucket(address: str) -> Bucket:
    """The storage at `s3://bucket/prefix`; the same one again as long as the process' AWS settings are the same."""
    surroundings = tuple(os.environ.get(name) for name in SURROUNDINGS)
    return _opened(address, read_settings().s3_timeout_seconds, surroundings)


@cache
def _opened(address: str, seconds: float, _: tuple[str | None, ...]) -> Bucket:
    return Bucket(address, seconds)


def open_foreign(address: str, seconds: float, profile: str | None, endpoint: str | None) -> Bucket:
    """A place of others, where no lake is: with credentials of its own, and given up sooner if it is down."""
    return Bucket(address, seconds, FIRST_ATTEMPTS, profile, endpoint)


class Bucket:
    """A lake below a prefix of a bucket. `seconds` is the time limit of one call (default: the setting).

    `profile` names credentials of the AWS configuration and `endpoint` a service, both instead of what the environment
    says.
    """

    def __init__(
        self,
        address: str,
        seconds: float | None = None,
        attempts: int = ATTEMPTS,
        profile: str | None = None,
        endpoint: str | None = None,
    ) -> None:
        self.address = address.rstrip("/")
        self.profile, self.endpoint = profile, endpoint
        self.bucket, _, prefix = self.address.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.seconds = read_settings().s3_timeout_seconds if seconds is None else seconds
        self.attempts = attempts
        self.leases: list[Lease] = []  # that this process holds

    def hurried(self, seconds: float) -> Bucket:
        """The same place by calls that are tried once and given up after so many seconds, if not sooner."""
        return Bucket(self.address, min(self.seconds, seconds), 1, self.profile, self.endpoint)

    # ---- who we are ------------------------------------------------------------------------------------------------
    @cached_property
    def _session(self) -> boto3.Session:
        for name in ("boto3", "botocore", "urllib3"):  # whose debug messages hold whole headers and answers
            logging.getLogger(name).setLevel(logging.INFO)
        try:
            return boto3.Session(profile_name=self.profile)
        except BotoCoreError as error:
            raise ConfigurationError(f"{self.address}: {error}. Correct the AWS configuration.") from None

    @cached_property
    def client(self) -> Any:
        """boto3's client, with time limits and retries."""
        return self._client(self.attempts)

    def _client(self, attempts: int) -> Any:
        config = Config(
            connect_timeout=min(CONNECT_SECONDS, self.seconds),
            read_timeout=self.seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            s3={"addressing_style": "path"} if self._endpoint() else {},
        )
        try:
            client = self._session.client("s3", config=config, endpoint_url=self.endpoint)
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"{self.address}: {error}. Correct the AWS configuration.") from None
        encrypted(client.meta.endpoint_url)  # which may come from the profile
        return client

    def _endpoint(self) -> str | None:
        """An endpoint other than that of AWS. Raises ConfigurationError if bytes would travel in the clear unasked."""
        named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
        return encrypted(self.endpoint or named)

    def _identity(self) -> tuple[str, str, str | None, str]:
        """Access key, secret key, session token and region, as they are now."""
        try:
            found = self._session.get_credentials()
            frozen = found.get_frozen_credentials() if found is not None else None
        except BotoCoreError as error:
            raise ConfigurationError(f"{self.address}: {error}. Correct the AWS configuration.") from None
        if frozen is None or not frozen.access_key or not frozen.secret_key:
            raise ConfigurationError(
                f"{self.address}: no AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "a profile, or run with a role."
            )
        region = self._session.region_name or os.environ.get("AWS_REGION") or "us-east-1"
        return frozen.access_key, frozen.secret_key, frozen.token, region

    @property
    def options(self) -> dict[str, str]:
        """The options that delta-rs and polars take."""
        access, secret, token, region = self._identity()
        options = {
            "aws_access_key_id": access,
            "aws_secret_access_key": secret,
            "aws_region": region,
            "timeout": f"{self.seconds:g}s",
            "connect_timeout": f"{CONNECT_SECONDS:g}s",
        }
        endpoint = self._endpoint()
        if token:
            options["aws_session_token"] = token
        if endpoint:
            options |= {"aws_endpoint_url": endpoint, "aws_allow_http": str(endpoint.startswith("http://")).lower()}
        return options

    @property
    def arrow(self) -> FileSystem:
        """Arrow's own S3 file system, made anew when the credentials have changed."""
        identity = self._identity()
        if getattr(self, "_arrow", (None,))[0] != identity:
            access, secret, token, region = identity
            scheme, _, host = (self._endpoint() or "").rpartition("://")
            system = S3FileSystem(
                access_key=access, secret_key=secret, session_token=token, region=region,
                endpoint_override=host or None, scheme=scheme or "https",
                connect_timeout=CONNECT_SECONDS, request_timeout=self.seconds,
                retry_strategy=AwsDefaultS3RetryStrategy(max_attempts=ATTEMPTS),
            )  # fmt: skip
            self._arrow = (identity, system)
        return self._arrow[1]

    # ---- objects ---------------------------------------------------------------------------------------------------
    def written_with(self) -> dict[str, Any]:
        """What objects are written with beside their bytes, in the words of S3: nothing."""
        return {}

    def uri(self, key: str) -> str:
        """s3://bucket/prefix/key."""
        return f"{self.address}/{key}"

    def key(self, uri: str) -> str:
        """What follows the root."""
        return uri.removeprefix(f"{self.address}/")

    def is_there(self) -> bool:
        """True if there is an object below the prefix. Raises StorageError if the bucket cannot be listed.

        Every command asks this first: whoever mistyped the endpoint need not wait for a dozen attempts.
        """
        client = self._client(FIRST_ATTEMPTS)
        listed = self._asked("", lambda: client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1))
        return bool(listed.get("KeyCount"))

    def entries(self, prefix: str) -> Iterator[Entry]:
        """Objects whose key begins with `prefix`, by key, a thousand at a time."""
        token: dict[str, str] = {}
        while True:
            page = self._asked(prefix, partial(self._page, prefix, token))
            for item in page.get("Contents", ()):
                yield Entry(
                    item["Key"][len(self.prefix) :],
                    item["Size"],
                    item["LastModified"].timestamp(),
                    item.get("ETag", ""),
                )
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, prefix: str, token: dict[str, str]) -> dict[str, Any]:
        found: dict[str, Any] = self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix + prefix, **token)
        return found

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if it is not there."""
        try:
            return int(self._asked(key, lambda: self.client.head_object(**self._named(key)))["ContentLength"])
        except FileNotFoundError:
            return None

    def facts(self, key: str) -> Facts | None:
        """What S3 says of an object; None if it is not there."""
        try:
            return facts_of(
                self._asked(key, lambda: self.client.head_object(**self._named(key), ChecksumMode="ENABLED"))
            )
        except FileNotFoundError:
            return None

    @contextmanager
    def opened(self, key: str, tag: str, start: int = 0) -> Iterator[Any]:
        """The bytes of one version of an object from byte `start` on. Raises ObjectError if it is gone."""
        named = self._named(key) | {"IfMatch": tag, "ChecksumMode": "ENABLED"}
        if start:
            named["Range"] = f"bytes={start}-"
        try:
            body = self._asked(key, lambda: self.client.get_object(**named))["Body"]
        except (FileNotFoundError, FileExistsError):
            raise ObjectError(f"{self.uri(key)}: was replaced or removed while it was read. Repeat.") from None
        with closing(body):
            yield body

    def read(self, key: str) -> bytes:
        """All bytes of an object."""
        return self.fetch(key)[0]

    def fetch(self, key: str) -> tuple[bytes, str]:
        """All bytes of an object, and the tag of this version of it."""

        def get() -> tuple[bytes, str]:
            found = self.client.get_object(**self._named(key))
            return found["Body"].read(), str(found["ETag"])

        try:
            return self._asked(key, get)
        except FileNotFoundError:
            raise StorageError(f"{self.uri(key)}: is not there. Restore it from a backup.") from None

    @contextmanager
    def local(self, key: str) -> Iterator[Path]:
        """A copy of the object on this machine, gone after the block."""
        with self.scratch() as folder:
            path = folder / Path(key).name
            try:
                with writing(path):
                    self._asked(key, lambda: self.client.download_file(self.bucket, self.prefix + key, str(path)))
            except FileNotFoundError:
                raise StorageError(f"{self.uri(key)}: is not there. Restore it from a backup.") from None
            yield path

    def put(self, key: str, source: bytes | Path, mode: int = 0o644) -> None:
        """Write an object; it appears whole when its last byte is there."""
        if isinstance(source, Path):
            _size(source)
            facts = {"ExtraArgs": self.written_with()}
            self._asked(key, lambda: self.client.upload_file(str(source), self.bucket, self.prefix + key, **facts))
        else:
            self._asked(key, lambda: self.client.put_object(**self._named(key), **self.written_with(), Body=source))

    def put_new(self, key: str, source: bytes | Path, mode: int = 0o644) -> bool:
        """A conditional write (If-None-Match: *); large files go in parts of which the last one is conditional."""
        if isinstance(source, bytes) or _size(source) < TransferConfig().multipart_threshold:
            body = source if isinstance(source, bytes) else source.read_bytes()
            return self.put_if(key, body, IfNoneMatch="*") is not None
        return self._put_large(key, source)

    def put_if(self, key: str, body: bytes, **condition: str) -> str | None:
        """Write an object if the condition holds; its tag, or None. What a lost answer hides is looked up."""
        try:
            facts = self._named(key) | self.written_with()
            write = partial(self.client.put_object, **facts, Body=body, **condition)
            return str(self._asked(key, write)["ETag"])
        except FileNotFoundError:  # If-Match on nothing
            return None
        except FileExistsError as refusal:
            # A repeated call may meet what its own first attempt has written although the answer was lost.
            return self._own(key, body) if refusal.args[1] else None

    def _own(self, key: str, body: bytes) -> str | None:
        found, tag = self.fetch(key)
        return tag if found == body else None

    def _put_large(self, key: str, source: Path) -> bool:
        named, facts = self._named(key), self.written_with()
        upload = self._asked(key, lambda: self.client.create_multipart_upload(**named, **facts))["UploadId"]
        try:
            parts = [self._part(key, upload, number, block) for number, block in enumerate(_blocks(source), 1)]
            complete = {"UploadId": upload, "MultipartUpload": {"Parts": parts}, "IfNoneMatch": "*"}
            self._asked(key, lambda: self.client.complete_multipart_upload(**named, **complete))
        except FileExistsError as refusal:
            self._abort(key, upload)
            return bool(refusal.args[1]) and self._same(key, source)
        except FileNotFoundError:  # the upload is over: by our own call whose answer was lost, or the bucket's rules
            if self.size(key) is None:
                raise StorageError(f"{self.uri(key)}: the upload was ended by the bucket. Repeat.") from None
            return self._same(key, source)
        except BaseException:
            self._abort(key, upload)
            raise
        return True

    def _part(self, key: str, upload: str, number: int, block: bytes) -> dict[str, Any]:
        facts = {"UploadId": upload, "PartNumber": number}
        done = self._asked(key, lambda: self.client.upload_part(**self._named(key), **facts, Body=block))
        return {"PartNumber": number, "ETag": done["ETag"]}

    def _abort(self, key: str, upload: str) -> None:
        try:
            self.client.abort_multipart_upload(**self._named(key), UploadId=upload)
        except (BotoCoreError, ClientError):
            return  # the bucket's rule for unfinished uploads sees to it

    def _same(self, key: str, source: Path) -> bool:
        with self.local(key) as path:
            return sha256_of(path) == sha256_of(source)

    def put_group(self, objects: Sequence[tuple[str, Path]], disk: int | None = None) -> list[bool]:
        """Write objects, some at a time; each is durable when its call returns."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(lambda one: self.put_new(*one), objects))

    def publish(self, key: str, body: bytes, kind: str) -> None:
        """Write an object with its media type."""
        facts = self._named(key) | self.written_with()
        self._asked(key, lambda: self.client.put_object(**facts, Body=body, ContentType=kind))

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._asked(key, lambda: self.client.delete_object(**self._named(key)))

    def keeps_versions(self) -> bool:
        """Whether the bucket keeps an object that is replaced. Raises StorageError if that may not be known."""
        found = self._asked("", lambda: self.client.get_bucket_versioning(Bucket=self.bucket))
        return bool(found.get("Status") == "Enabled")

    def staging(self, key: str) -> Path:
        """A file on this machine."""
        path = self._aside / key
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def finish(self, key: str, path: Path) -> None:
        """Upload the file and drop it here."""
        self.put(key, path)
        path.unlink(missing_ok=True)

    @cached_property
    def _aside(self) -> Path:
        """A folder that is removed with this object, at the latest when the process ends; if killed, by a later one."""
        folder = folder_while_alive(Path(tempfile.gettempdir()) / f"swxlake-{os.getuid()}")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on this machine."""
        with tempfile.TemporaryDirectory(dir=self._aside, ignore_cleanup_errors=True) as name:
            yield Path(name)

    def free_bytes(self) -> int | None:
        """None: a bucket has no limit that is known."""
        return None

    def alone(self, name: str, wait_seconds: float | None = None) -> AbstractContextManager[None]:
        """An object that its holder renews."""
        settings = read_settings()
        wait = settings.wait_seconds if wait_seconds is None else wait_seconds
        return leased(self, f"{LOCKS}/{name}.json", wait, settings.lease_seconds)

    def still_alone(self) -> None:
        """What the renewals of our leases have come to."""
        for lease in self.leases:
            lease.confirm()

    # ---- calls -----------------------------------------------------------------------------------------------------
    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _asked(self, key: str, call: Callable[[], Result]) -> Result:
        """What a call gives. Raises FileNotFoundError, FileExistsError(key, was it repeated), and StorageError."""
        self._identity()
        try:
            return repeat_if_busy(call)
        except ClientError as error:
            code = _code(error)
            if code in ABSENT and key:
                raise FileNotFoundError(key) from None
            if code in TAKEN:
                repeated = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0) > 0
                raise FileExistsError(key, repeated) from None
            reason = f"{code}: {error.response.get('Error', {}).get('Message', '')}"
            kind = ObjectError if code in DENIED else StorageError
        except (BotoCoreError, Boto3Error) as error:
            reason = " ".join(str(error).split())
            kind = ObjectError if isinstance(error, FlexibleChecksumError) else StorageError
        raise kind(f"{self.uri(key)}: refused ({reason}). Check the bucket, the rights and the network, then repeat.")


def repeat_if_busy(call: Callable[[], Result]) -> Result:
    """What a call gives; repeated as long as it meets another write of the same key. The error counts all attempts."""
    for attempt in range(ATTEMPTS):
        try:
            return call()
        except ClientError as error:
            if _code(error) not in BUSY or attempt == ATTEMPTS - 1:
                facts = error.response.setdefault("ResponseMetadata", {})
                facts["RetryAttempts"] = facts.get("RetryAttempts", 0) + attempt
                raise
        time.sleep(min(2.0, 0.05 * 2**attempt))
    raise AssertionError("the last attempt raises")


def encrypted(endpoint: str | None) -> str | None:
    """The endpoint. Raises ConfigurationError if bytes would travel in the clear unasked."""
    if endpoint and endpoint.startswith("http://") and os.environ.get("AWS_ALLOW_HTTP", "").lower() != "true":
        raise ConfigurationError(
            f"{endpoint}: is not encrypted. Use an https endpoint, or for a test set AWS_ALLOW_HTTP=true."
        )
    return endpoint


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _size(source: Path) -> int:
    """Bytes of a file of this machine. Raises StorageError if it cannot be opened."""
    with reading(source), source.open("rb") as stream:
        return os.fstat(stream.fileno()).st_size


def _blocks(source: Path, size: int = 64 << 20) -> Iterator[bytes]:
    with source.open("rb") as stream:
        while block := stream.read(size):
            yield block
