"""A real MinIO for tests: a bucket, credentials by a profile of an AWS credentials file, and prefixes of
one's own.

``python -m support.minio ENDPOINT BUCKET PREFIX PROFILE FOLDER NAME`` copies a snapshot of a local store
there; to be killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mongo_dr_console.config import S3StoreConfig, load_config
from mongo_dr_console.sandbox.minio import REGION, LocalMinio
from mongo_dr_console.stores.patience import Patience
from mongo_dr_console.stores.s3 import S3Store
from support.prepared import PreparedProfile

_FILE = "AWS_SHARED_CREDENTIALS_FILE"
SMALL_PART = 5 * 1024 * 1024
"""The smallest that S3 takes."""
SHORT = Patience(connect_seconds=10, read_seconds=30, total_seconds=2)
"""For tests of what does not pass."""
STEADY = Patience(connect_seconds=30, read_seconds=60, total_seconds=120)


@dataclass(frozen=True)
class Minio:
    """A server with one bucket."""

    server: LocalMinio
    credentials: Path
    bucket: str = "dr-test"

    @property
    def profile(self) -> str:
        """Of the credentials file."""
        return f"mdr-{self.server.port}"

    def config(self, **more: Any) -> S3StoreConfig:
        """The section of a profile, with a prefix of its own."""
        words = {
            "type": "s3",
            "bucket": self.bucket,
            "prefix": f"p-{uuid.uuid4().hex[:10]}/mongodb",
            "endpoint": self.server.endpoint,
            "region": REGION,
            "aws_profile": self.profile,
        }
        return S3StoreConfig.model_validate(words | more)

    def store(self, patience: Patience = STEADY, **more: Any) -> S3Store:
        return S3Store("s3", self.config(**more), patience)

    def client(self) -> Any:
        """boto3's own, to look from outside."""
        from boto3.session import Session

        session = Session(profile_name=self.profile, region_name=REGION)
        return session.client("s3", endpoint_url=self.server.endpoint)

    def keys(self, store: S3Store) -> list[str]:
        """Everything below a store's prefix, also what it hides."""
        return [o.path for o in store.objects()]

    def uploads(self, store: S3Store) -> int:
        """Multipart uploads below a store's prefix that are neither complete nor aborted."""
        pages = self.client().list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return sum(u["Key"].startswith(store.config.prefix) for u in pages)

    def add_credentials(self, profile: str, key: str, secret: str, token: str = "") -> None:
        """Another profile of the credentials file."""
        with self.credentials.open("a") as file:
            file.write(f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")
            if token:
                file.write(f"aws_session_token = {token}\n")

    def add_reader(self, profile: str) -> None:
        """Credentials for a while, with which the bucket can only be read."""
        from boto3.session import Session

        allowed = {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:ListBucket"],
            "Resource": "arn:aws:s3:::*",
        }
        session = Session(profile_name=self.profile, region_name=REGION)
        given = session.client("sts", endpoint_url=self.server.endpoint).assume_role(
            RoleArn="arn:x:ignored:by:minio:",
            RoleSessionName="reader",
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}),
        )["Credentials"]
        self.add_credentials(profile, given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def launch(folder: Path) -> Minio:
    """Starts it and makes the bucket. Raises what ``LocalMinio.launch`` raises."""
    server = LocalMinio.launch(folder)
    mine = os.environ.get("MDR_TEST_CREDENTIALS")
    credentials = Path(mine) if mine else folder / "credentials"
    credentials.touch(mode=0o600)
    os.environ |= {_FILE: str(credentials), "MDR_TEST_CREDENTIALS": str(credentials)}
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    minio = Minio(server, credentials)
    minio.add_credentials(minio.profile, server.user, server.password)
    minio.client().create_bucket(Bucket=minio.bucket)
    return minio


def section(name: str, config: S3StoreConfig) -> str:
    """A store's section of a config file."""
    words = {key: value for key, value in config.model_dump(mode="json").items() if value is not None}
    lines = [f"{key} = {value!r}" for key, value in words.items()]
    return "\n".join([f"[profiles.test.stores.{name}]", *lines, ""])


def with_stores(prepared: PreparedProfile, *, local: bool, **stores: S3StoreConfig) -> PreparedProfile:
    """The profile with these stores."""
    text = prepared.config_file.read_text()
    if not local:
        text = text[: text.index("[profiles.test.stores.local]")]
    text += "\n".join(section(name, config) for name, config in stores.items())
    prepared.config_file.write_text(text)
    return replace(prepared, profile=load_config(prepared.config_file).profiles["test"])


def killed_copier(config: S3StoreConfig, source: Path, name: str) -> subprocess.Popen[str]:
    """Starts a process that copies a snapshot."""
    words = [str(config.endpoint), config.bucket, config.prefix, str(config.aws_profile), str(source), name]
    return subprocess.Popen(
        [sys.executable, "-m", "support.minio", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )


def main(words: list[str]) -> None:
    from mongo_dr_console.stores import s3_upload
    from mongo_dr_console.stores.copying import copy_snapshot
    from mongo_dr_console.stores.local import LocalStore
    from support.jobs import NeverStop

    s3_upload.PART_BYTES = SMALL_PART

    endpoint, bucket, prefix, profile, source, name = words
    config = S3StoreConfig(
        type="s3", bucket=bucket, prefix=prefix, endpoint=endpoint, region=REGION, aws_profile=profile
    )
    print("begun", flush=True)
    copy_snapshot(
        LocalStore("local", Path(source)), name, S3Store("s3", config, STEADY), lambda _: None, NeverStop()
    )
    print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
