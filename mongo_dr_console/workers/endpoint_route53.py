"""An endpoint in Route 53: the record, and beside it a TXT record with its term and fence, changed as one."""

from __future__ import annotations

import ipaddress
import time
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from mongo_dr_console.config import Route53Endpoint
from mongo_dr_console.model.failoverdoc import EndpointContent, check_order
from mongo_dr_console.model.trouble import Failed, Refused, Trouble, Unreachable

_REQUEST_SECONDS = 10
_LOOK_SECONDS = 1.0
_BESIDE = "_mdr."
_IN_SYNC = "INSYNC"


class Route53Writer:
    """A record of one name. Both records are changed in one request, in which the old TXT record is removed
    as it was read: Route 53 refuses the whole where another has changed it since."""

    kind = "route53"

    def __init__(self, config: Route53Endpoint) -> None:
        self._config = config
        self._name = config.record.rstrip(".") + "."
        self._beside = _BESIDE + self._name
        self.where = f"record {self._name} in zone {config.zone_id}"

    def read(self) -> EndpointContent | None:
        found = self._txt()
        return None if found is None else self._parse(found)

    def write(self, content: EndpointContent, *, force: bool = False) -> None:
        kind, value = self._target(content)
        before = self._txt()
        if not force:
            check_order(None if before is None else self._parse(before), content)
        changes = [] if before is None else [("DELETE", before)]
        changes += [
            ("CREATE", self._set(self._beside, "TXT", _quoted(content))),
            ("UPSERT", self._set(self._name, kind, value)),
        ]
        answer = self._call(
            "change_resource_record_sets",
            HostedZoneId=self._config.zone_id,
            ChangeBatch={
                "Comment": f"mdr: {content.primary} in term {content.term}",
                "Changes": [{"Action": action, "ResourceRecordSet": record} for action, record in changes],
            },
        )
        self._await_sync(answer["ChangeInfo"])

    def by_hand(self, content: EndpointContent) -> str:
        kind, value = self._target(content)
        return (
            f"In zone {self._config.zone_id} let {self._name} {kind} be {value} (TTL {self._config.ttl}), "
            "or: mdr endpoint switch"
        )

    def _await_sync(self, change: dict[str, Any]) -> None:
        """Until all name servers answer with it: before that some clients are led to the former primary."""
        deadline = time.monotonic() + self._config.timeout.total_seconds()
        while change["Status"] != _IN_SYNC:
            if time.monotonic() > deadline:
                raise Unreachable(
                    "endpoint-not-in-sync",
                    f"Route 53 took the change of {self._name}, and after "
                    f"{self._config.timeout.total_seconds():g} s not "
                    "all of its name servers have it: some applications are still led to the former primary.",
                    f"See: aws route53 get-change --id {change['Id']}",
                )
            time.sleep(_LOOK_SECONDS)
            change = self._call("get_change", Id=change["Id"])["ChangeInfo"]

    def _target(self, content: EndpointContent) -> tuple[str, str]:
        try:
            address = ipaddress.ip_address(content.host)
        except ValueError:
            address = None
        kind = "CNAME" if address is None else ("A" if address.version == 4 else "AAAA")
        wanted = self._config.record_type
        if wanted not in ("auto", kind):
            raise Refused(
                "endpoint-record-type",
                f"The record is to be of type {wanted}, and {content.host} needs {kind}. Nothing was "
                "changed.",
                'Set record_type = "auto", or name the members otherwise in the set\'s configuration.',
            )
        return kind, content.host if address else content.host.rstrip(".") + "."

    def _set(self, name: str, kind: str, value: str) -> dict[str, Any]:
        return {"Name": name, "Type": kind, "TTL": self._config.ttl, "ResourceRecords": [{"Value": value}]}

    def _txt(self) -> dict[str, Any] | None:
        answer = self._call(
            "list_resource_record_sets",
            HostedZoneId=self._config.zone_id,
            StartRecordName=self._beside,
            StartRecordType="TXT",
            MaxItems="1",
        )
        for record in answer["ResourceRecordSets"]:
            if record["Name"] == self._beside and record["Type"] == "TXT":
                found: dict[str, Any] = record
                return found
        return None

    def _parse(self, record: dict[str, Any]) -> EndpointContent:
        text = "".join(r["Value"] for r in record["ResourceRecords"]).strip('"').replace('" "', "")
        pairs = dict(part.split("=", 1) for part in text.split() if "=" in part)
        try:
            return EndpointContent.model_validate(pairs)
        except ValidationError:
            raise Failed(
                "endpoint-foreign",
                f"The TXT record {self._beside} is not what mdr writes, so nothing is overwritten.",
                "Remove it, or name another record.",
            ) from None

    @cached_property
    def _client(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        return Session(profile_name=self._config.aws_profile, region_name="us-east-1").client(
            "route53",
            endpoint_url=self._config.endpoint,
            config=Config(
                connect_timeout=_REQUEST_SECONDS / 2,
                read_timeout=_REQUEST_SECONDS,
                retries={"total_max_attempts": 1, "mode": "standard"},
            ),
        )

    def _call(self, operation: str, **words: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**words)
            return answer
        except (ClientError, BotoCoreError) as error:
            raise _told(error, self._name) from None


def _quoted(content: EndpointContent) -> str:
    """A TXT record's value: strings of at most 255 characters."""
    data = content.model_dump(mode="json", exclude={"schema_name"})
    text = " ".join(f"{name}={str(value).replace(' ', '_')}" for name, value in data.items())
    return " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))


def _told(error: Any, name: str) -> Trouble:
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    said = str(response.get("Error", {}).get("Message", "")) or type(error).__name__
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in ("Throttling", "PriorRequestNotComplete", "ServiceUnavailable") or status >= 500 or not code:
        return Unreachable(
            "dns-unreachable",
            f"Route 53 does not take the change of {name}: {said}. The record says what it said before.",
            "Check the network, and the credentials of this host.",
        )
    return Refused(
        "dns-refused",
        f"Route 53 refuses the change of {name} ({code}): {said}. The record says what it said before.",
        "It needs route53:ChangeResourceRecordSets, ListResourceRecordSets and GetChange on the zone.",
    )
