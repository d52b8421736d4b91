"""Forms that can be read in one way are read, all others are refused."""

import unittest

from nexus_form import read_form
from nexus_kit import File, ServiceError

KIND = "multipart/form-data; boundary=frontier"


def form(*parts: str, end: str = "--frontier--\r\n") -> bytes:
    return "".join(f"--frontier\r\n{part}\r\n" for part in parts).encode() + end.encode()


def field(name: str, value: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'


class FormTest(unittest.TestCase):
    def test_reads_fields_lists_and_files(self) -> None:
        head = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: Audio/WAV'
        file = f"{head}\r\n\r\n\r\nRIFF\r\n"
        content = form(field("model", "m"), field("x[]", "1"), field("x[]", "2"), field("stream", "true"), file)
        fields, files = read_form(content, KIND)
        self.assertEqual(fields, {"model": "m", "x": ["1", "2"], "stream": True})
        self.assertEqual(files, [File("file", "a.wav", "audio/wav", b"\r\nRIFF\r\n")])

    def test_refuses_what_two_readers_could_read_differently(self) -> None:
        good = field("model", "m")
        cases = {
            "no boundary": (form(good), "multipart/form-data"),
            "two parameters": (form(good), f"{KIND}; charset=utf-8"),
            "a preamble": (b"hello\r\n" + form(good), KIND),
            "no end": (form(good, end=""), KIND),
            "an epilogue": (form(good, end="--frontier--\r\nmore"), KIND),
            "a boundary in a value": (form(field("model", "a --frontier b")), KIND),
            "a bare boundary in a value": (form(field("model", "frontier")), KIND),
            "a field twice": (form(good, good), KIND),
            "a header twice": (form(f"Content-Type: a/b\r\nContent-Type: c/d\r\n{good}"), KIND),
            "a folded header": (form('Content-Disposition: form-data;\r\n name="model"\r\n\r\nm'), KIND),
            "a path": (form('Content-Disposition: form-data; name="f"; filename="../a"\r\n\r\nm'), KIND),
            "dots": (form('Content-Disposition: form-data; name="f"; filename=".."\r\n\r\nm'), KIND),
            "an escape": (form('Content-Disposition: form-data; name="a\\"b"\r\n\r\nm'), KIND),
            "an encoding": (form(f"Content-Transfer-Encoding: base64\r\n{good}"), KIND),
            "no name": (form("Content-Disposition: form-data\r\n\r\nm"), KIND),
            "no head": (form("m"), KIND),
            "nothing": (b"--frontier--\r\n", KIND),
        }
        for name, (content, kind) in cases.items():
            with self.subTest(name), self.assertRaises(ServiceError):
                read_form(content, kind)
        with self.assertRaises(ServiceError):
            read_form(form("").replace(b"\r\n\r\n", b"\n\n"), KIND)


if __name__ == "__main__":
    unittest.main()
