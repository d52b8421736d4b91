import unittest

from trial import trial


class ModerationTest(unittest.TestCase):
    def test_judges_each_text(self) -> None:
        with trial() as client:
            asked = {"model": "{{name}}", "input": ["I like cats.", "I will kill you."]}
            results = client.post("{{path}}", json=asked).json()["results"]
        self.assertEqual([result["flagged"] for result in results], [False, True])
        self.assertTrue(results[1]["categories"]["violence"])


if __name__ == "__main__":
    unittest.main()
