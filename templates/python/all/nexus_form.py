"""Reads `multipart/form-data` (RFC 7578). What two readers could read differently is refused."""

from __future__ import annotations

import re

from nexus_kit import File, Json, ServiceError, invalid

PARTS_MAX, HEAD_BYTES_MAX = 256, 4096
_BOUNDARY = re.compile(
    r"""multipart/form-data ?; ?boundary=(?:([\w'+.-]{1,70})|"([\w'+.()/:=?-]{1,70})")""", re.IGNORECASE | re.ASCII
)
#: Names are those of fields, `include[]` among them. A file name is no path and has no escapes.
_NAMED = re.compile(
    rb'form-data; ?name="([A-Za-z0-9_.\[\]-]{1,128})"(?:; ?filename="([^"\\/\t]{1,255})")?', re.IGNORECASE
)
_HEADER = re.compile(rb"([\w-]+): ?([^\x00-\x1f\x7f]*)", re.ASCII)


def read_form(content: bytes, content_type: str) -> tuple[Json, list[File]]:
    """The fields, as a JSON body would have them, and the files of a form."""
    fields: Json = {}
    files: list[File] = []
    for part in parts_of(content, content_type):
        head, separator, value = part.partition(b"\r\n\r\n")
        if not separator or len(head) > HEAD_BYTES_MAX:
            raise refused("the headers of a part do not end")
        name, filename, kind = read_head(head)
        key = name.removesuffix("[]")
        if filename:
            files.append(File(key, filename, kind, value))
        elif key in fields and not (key != name and isinstance(fields[key], list)):
            raise invalid(key, "appears twice")
        else:
            text = decoded(key, value)
            fields[key] = text if key == name else [*fields.get(key, []), text]
    if "stream" in fields:
        if fields["stream"] not in ("true", "false"):
            raise invalid("stream", "must be true or false")
        fields["stream"] = fields["stream"] == "true"
    return fields, files


def parts_of(content: bytes, content_type: str) -> list[bytes]:
    match = _BOUNDARY.fullmatch(content_type)
    if match is None:
        raise refused("Content-Type must have one plain boundary and nothing else")
    boundary = (match[1] or match[2]).encode()
    first, *parts = content.split(b"--" + boundary)
    # The boundary stands at the beginning of lines and nowhere else, with or without its dashes.
    if first != b"" or content.count(boundary) != len(parts) or not 2 <= len(parts) <= PARTS_MAX + 1:
        raise refused("its boundary stands where it must not, or too often")
    if parts.pop() not in (b"--", b"--\r\n"):
        raise refused("its end is missing")
    if not all(part.startswith(b"\r\n") and part.endswith(b"\r\n") and len(part) > 4 for part in parts):
        raise refused("its boundary stands in the middle of a line")
    return [part[2:-2] for part in parts]


def read_head(head: bytes) -> tuple[str, str, str]:
    """Name, file name and media type."""
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None or header[1].lower() in headers:
            raise refused("a header of a part is malformed or stands there twice")
        headers[header[1].lower()] = header[2]
    named = _NAMED.fullmatch(headers.get(b"content-disposition", b""))
    encoding = headers.get(b"content-transfer-encoding", b"binary").lower()
    if named is None or encoding not in (b"binary", b"8bit", b"7bit") or named[1] == b"_charset_":
        raise refused("a part needs a plain name and, for files, a plain file name")
    filename = decoded("filename", named[2] or b"")
    if filename and not filename.strip("."):
        raise refused("a file name is a path")
    return named[1].decode(), filename, headers.get(b"content-type", b"").decode("latin-1").lower()


def decoded(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid(name, "is not UTF-8") from None


def refused(problem: str) -> ServiceError:
    return ServiceError("invalid_request", f"The body is no form that can be read in one way only: {problem}.")
