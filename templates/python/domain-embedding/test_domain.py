import unittest

from trial import trial


def dot(one: list[float], other: list[float]) -> float:
    return sum(left * right for left, right in zip(one, other, strict=True))


class EmbeddingTest(unittest.TestCase):
    def test_gives_vectors_in_which_like_texts_are_near(self) -> None:
        with trial() as client:
            asked = {"model": "{{name}}", "input": ["a grey cat", "two grey cats", "the stock market"]}
            data = client.post("{{path}}", json=asked).json()["data"]
        cat, cats, market = (one["embedding"] for one in data)
        self.assertGreater(dot(cat, cats), dot(cat, market))


if __name__ == "__main__":
    unittest.main()
