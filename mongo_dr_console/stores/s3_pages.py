"""A page of a bucket's list has a thousand objects, and botocore's way through each takes longer than the
service needs for the page. What is wanted of it are names, sizes and times; they are read straight."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from botocore.parsers import ResponseParserFactory, RestXMLParser

_PAGE = "ListObjectsV2Output"
_TOP = ("Prefix", "Delimiter", "StartAfter", "EncodingType", "NextContinuationToken")


class PageParsers(ResponseParserFactory):  # type: ignore[misc]
    """Makes botocore's parsers, with a shorter way for pages of a list."""

    def create_parser(self, protocol_name: str) -> Any:
        if protocol_name == "rest-xml":
            return _Parser(**self._defaults)
        return super().create_parser(protocol_name)


class _Parser(RestXMLParser):  # type: ignore[misc]
    def _parse_payload(
        self, response: dict[str, Any], shape: Any, member_shapes: Any, final_parsed: dict[str, Any]
    ) -> None:
        if shape.name == _PAGE and response["body"]:
            # Not XML is botocore's to tell.
            final_parsed.update(read_page(self._initial_body_parse(response["body"]), self._timestamp_parser))
        else:
            super()._parse_payload(response, shape, member_shapes, final_parsed)


def read_page(root: ElementTree.Element, time_of: Any) -> dict[str, Any]:
    """What botocore would make of it, as far as it is used.

    Args:
        time_of: Makes a time of its text.
    """
    space = root.tag[: root.tag.index("}") + 1] if root.tag.startswith("{") else ""
    key, size, modified = f"{space}Key", f"{space}Size", f"{space}LastModified"
    page: dict[str, Any] = {
        name: text for name in _TOP if (text := root.findtext(f"{space}{name}")) is not None
    }
    page["IsTruncated"] = root.findtext(f"{space}IsTruncated") == "true"
    page["Contents"] = [
        {
            "Key": one.findtext(key),
            "Size": int(one.findtext(size) or 0),
            "LastModified": time_of(one.findtext(modified)),
        }
        for one in root.findall(f"{space}Contents")
    ]
    page["CommonPrefixes"] = [
        {"Prefix": one.findtext(f"{space}Prefix")} for one in root.findall(f"{space}CommonPrefixes")
    ]
    return page
