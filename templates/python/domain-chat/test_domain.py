import json
import unittest

from trial import trial


class ChatTest(unittest.TestCase):
    def test_answers_a_chat(self) -> None:
        with trial() as client:
            messages = [{"role": "user", "content": "green grass"}]
            asked = {"model": "{{name}}", "messages": messages, "max_tokens": 3}
            answer = client.post("{{path}}", json=asked).json()
        self.assertEqual(answer["choices"][0]["message"]["content"], "green grass green")
        self.assertEqual(answer["usage"]["completion_tokens"], 3)

    def test_streams_a_chat(self) -> None:
        with trial() as client:
            messages = [{"role": "user", "content": "green grass"}]
            asked = {"model": "{{name}}", "messages": messages, "max_tokens": 2, "stream": True}
            events = client.post("{{path}}", json=asked).text.removesuffix("\n\n").split("\n\n")
        self.assertEqual(events.pop(), "data: [DONE]")
        chunks = [json.loads(event.removeprefix("data: ")) for event in events]
        said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        self.assertEqual(said, "green grass")
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "length")


if __name__ == "__main__":
    unittest.main()
