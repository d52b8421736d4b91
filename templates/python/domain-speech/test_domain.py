import io
import unittest
import wave

from trial import trial


class SpeechTest(unittest.TestCase):
    def test_speaks(self) -> None:
        with trial() as client:
            asked = {"model": "{{name}}", "input": "Hello.", "voice": "default", "response_format": "wav"}
            answer = client.post("{{path}}", json=asked)
        self.assertEqual(answer.headers["content-type"], "audio/wav")
        with wave.open(io.BytesIO(answer.content)) as sound:
            self.assertGreater(sound.getnframes(), 0)


if __name__ == "__main__":
    unittest.main()
