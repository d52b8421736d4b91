import base64
import struct
import unittest

from trial import trial


class ImageTest(unittest.TestCase):
    def test_makes_a_picture(self) -> None:
        with trial() as client:
            asked = {"model": "{{name}}", "prompt": "a grey square", "size": "64x32"}
            data = client.post("{{path}}", json=asked).json()["data"]
        picture = base64.b64decode(data[0]["b64_json"])
        self.assertEqual(struct.unpack(">II", picture[16:24]), (64, 32))


if __name__ == "__main__":
    unittest.main()
