import unittest

from trial import trial

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class OcrTest(unittest.TestCase):
    def test_reads_a_picture(self) -> None:
        with trial() as client:
            document = {"type": "image_url", "image_url": "data:image/png;base64," + PIXEL}
            answer = client.post("{{path}}", json={"model": "{{name}}", "document": document}).json()
        self.assertEqual(answer["pages"][0]["markdown"], "A document of type image/png: 1 by 1 pixels.")
        self.assertEqual(answer["usage_info"]["pages_processed"], 1)


if __name__ == "__main__":
    unittest.main()
