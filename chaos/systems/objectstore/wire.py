"""One node of an object store over boto3, every request sent once.

Of what a botocore client does by itself these are off: retries (`total_max_attempts` 1; that of
urllib3 below is always off), proxies and settings of the environment and of `~/.aws`, and asking
first whether a body may be sent (`Expect: 100-continue`), which waits for a second more than the
time-out allows. Its redirects to another region need an answer that a store with one region never
gives. A request is never sent again over a new connection either: urllib3 makes one in place of a
pooled one that has ended before it sends anything.

Payloads are checked on both ways: a request carries the SHA-256 of its body in its signature and a
CRC32 beside it, which the store keeps and answers with, and which is compared when the object is
read.

A botocore client takes a tenth of a second to make and some megabytes, so that a process has one
for each address and time-out. Threads may share it (botocore's documentation says so): a connection
of its pool serves one request at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import threading
from dataclasses import dataclass
from typing import Any

import boto3
import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header

from chaos.systems._http import Connection
from chaos.systems.base import Address, NotConnected
from chaos.systems.objectstore.conf import PASSWORD, USER

BUCKET = "aftershock"
REGION = "us-east-1"
CONNECTIONS_MAX = 256  # kept for later by one pool; more clients than that are in no process
LIVE = "/minio/health/live"
FAILURES = (BotoCoreError, ClientError, NotConnected, OSError, http.client.HTTPException)

_MAKING = threading.Lock()  # making a client is the one thing that threads may not do at once
_MADE: dict[tuple[Address, float], Any] = {}


def s3(address: Address, timeout_s: float) -> Any:
    """This process's S3 client for `address`. `timeout_s` bounds connecting and every wait for
    bytes."""
    with _MAKING:
        if (address, timeout_s) not in _MADE:
            _MADE[address, timeout_s] = _made(address, timeout_s)
        return _MADE[address, timeout_s]


def _made(address: Address, timeout_s: float) -> Any:
    apart = {  # (key in a file, environment variable, default, conversion): nobody's profile
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    session = boto3.session.Session(
        botocore_session=botocore.session.Session(session_vars=apart),
        aws_access_key_id=USER,
        aws_secret_access_key=PASSWORD,
        region_name=REGION,
    )
    config = Config(
        signature_version="s3v4",
        connect_timeout=timeout_s,
        read_timeout=timeout_s,
        max_pool_connections=CONNECTIONS_MAX,
        proxies={},
        retries={"total_max_attempts": 1, "mode": "standard"},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_supported",
        response_checksum_validation="when_supported",
    )
    made = session.client("s3", endpoint_url=f"http://{address[0]}:{address[1]}", config=config)
    made.meta.events.unregister("before-call.s3", add_expect_header)
    return made


def knock(address: Address, timeout_s: float) -> str:
    """Have the node answer once, over a connection of its own; the id it gives the request, which
    is its time. NotConnected where it does not: of whatever was to follow nothing was sent."""
    line = http.client.HTTPConnection(*address, timeout=timeout_s)
    try:
        line.request("GET", LIVE)
        answer = line.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        text = f"{type(error).__name__}: {error}"
        raise NotConnected(f"connecting to {address[0]}:{address[1]}: {text}") from error
    finally:
        line.close()
    if answer.status != 200:
        raise NotConnected(f"{address[0]}:{address[1]} answers with status {answer.status}")
    return answer.getheader("x-amz-request-id", "")


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it was read. The ETag is the MD5 of `body`, and of nothing else."""

    body: bytes
    etag: str


def etag_of(body: bytes) -> str:
    """The ETag of an object with this content, which was sent in one piece."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def code_of(error: ClientError) -> str:
    """The store's code for an error: "PreconditionFailed"."""
    return str(error.response.get("Error", {}).get("Code", ""))


class Store:
    """The bucket as one node gives it. Making one knocks; NotConnected."""

    def __init__(self, node: str, address: Address, timeout_s: float) -> None:
        knock(address, timeout_s)
        self.node = node
        self._s3 = s3(address, timeout_s)

    def get(self, key: str) -> Found | None:
        """The object, or None where there is none."""
        try:
            answer = self._s3.get_object(Bucket=BUCKET, Key=key)
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise
        with contextlib.closing(answer["Body"]) as body:
            return Found(body.read(), answer["ETag"])

    def put(self, key: str, body: bytes) -> None:
        """Store the object, whatever is there."""
        self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def replace(self, key: str, body: bytes, etag: str | None) -> bool:
        """Store the object if there is one with that ETag (None: if there is none); whether that
        was so."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=body, **condition)
        except ClientError as error:
            if code_of(error) in ("PreconditionFailed", "NoSuchKey"):
                return False
            raise
        return True

    def etags(self, prefix: str = "") -> dict[str, str]:
        """Key → ETag of all objects whose keys begin so: a request for each thousand of them."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def close(self) -> None:
        """Nothing: its connections are the process's."""


class Admin(Connection):
    """One kept connection for questions to a node's administrative interface."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        super().__init__(address, timeout_s)
        self._base = f"http://{address[0]}:{address[1]}"

    def get(self, path: str) -> Any:
        """The answer as JSON; OSError or HTTPException where there is none, or another status than
        200. After either the connection is of no more use."""
        request = AWSRequest(
            method="GET",
            url=self._base + path,
            headers={"X-Amz-Content-SHA256": hashlib.sha256(b"").hexdigest()},
        )
        S3SigV4Auth(Credentials(USER, PASSWORD), "s3", REGION).add_auth(request)
        status, answer = self.request("GET", path, headers=dict(request.headers.items()))
        if status != 200:
            raise OSError(f"status {status}: {str(answer)[:200]}")
        return answer


def asked(address: Address, timeout_s: float, path: str) -> Any:
    """One administrative question over a connection of its own."""
    with contextlib.closing(Admin(address, timeout_s)) as admin:
        return admin.get(path)
