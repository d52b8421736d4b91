import unittest

from trial import trial


class ToolTest(unittest.TestCase):
    def test_counts_words(self) -> None:
        with trial() as client:
            asked = {"model": "{{name}}", "arguments": {"text": "one two three"}}
            answer = client.post("{{path}}", json=asked).json()
        self.assertEqual(answer["structuredContent"]["words"], 3)
        self.assertFalse(answer["isError"])

    def test_refuses_arguments_that_it_cannot_take(self) -> None:
        with trial() as client:
            answer = client.post("{{path}}", json={"model": "{{name}}", "arguments": {}})
        self.assertEqual(answer.status_code, 400)
        self.assertIn("text", answer.json()["error"]["message"])


if __name__ == "__main__":
    unittest.main()
