import unittest

from trial import trial


class RerankTest(unittest.TestCase):
    def test_puts_the_best_document_first(self) -> None:
        with trial() as client:
            documents = ["Bread", "Paris, capital of France"]
            asked = {"model": "{{name}}", "query": "the capital of France", "documents": documents}
            results = client.post("{{path}}", json=asked).json()["results"]
        self.assertEqual([result["index"] for result in results], [1, 0])


if __name__ == "__main__":
    unittest.main()
