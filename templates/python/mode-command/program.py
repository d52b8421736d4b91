"""A small program, until there is a real one in any language: the request as JSON on stdin, the result on stdout. It is
ended with SIGTERM when its client has left."""

import base64
import json
import sys
from collections.abc import Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

from refusal import Refused
from work import work

#: The status that says: it is the request that is wrong.
REFUSED = 65


def with_bytes(fields: dict[str, Any]) -> Any:
    return base64.b64decode(fields["base64"]) if fields.keys() == {"base64"} else fields


def write(result: Any) -> None:
    if isinstance(result, Iterator):
        for piece in result:
            write(piece)
    elif isinstance(result, (str, bytes)):
        sys.stdout.buffer.write(result.encode("utf-8", "replace") if isinstance(result, str) else result)
        sys.stdout.buffer.flush()
    else:
        json.dump(result, sys.stdout)


def main() -> int:
    fields = json.load(sys.stdin.buffer, object_hook=with_bytes)
    asked: Any = SimpleNamespace(cancelled=Event(), **fields)
    try:
        write(work(asked))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
