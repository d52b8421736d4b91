import io
import unittest
import wave

from trial import trial


class TranscriptionTest(unittest.TestCase):
    def test_writes_down_a_sound(self) -> None:
        sound = io.BytesIO()
        with wave.open(sound, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(b"\x00\x20" * 8_000)
        for wanted in ("json", "srt"):
            with self.subTest(wanted), trial() as client:
                fields = {"model": "{{name}}", "response_format": wanted}
                files = {"file": ("sound.wav", sound.getvalue())}
                answer = client.post("{{path}}", data=fields, files=files)
                self.assertEqual(answer.status_code, 200)
                self.assertIn("0.5 seconds of sound.", answer.text)


if __name__ == "__main__":
    unittest.main()
