import time
import unittest

from trial import trial


class VideoTest(unittest.TestCase):
    def test_makes_it_beside_the_request(self) -> None:
        with trial() as client:
            asked = {"model": "{{name}}", "prompt": "a lighthouse", "seconds": "2", "size": "64x64"}
            job = client.post("{{path}}", json=asked).json()
            one = f"{{path}}/{job['id']}"
            while job["status"] in ("queued", "in_progress"):
                time.sleep(0.02)
                job = client.get(one).json()
            self.assertEqual(job["status"], "completed")
            content = client.get(f"{one}/content")
            self.assertEqual(content.headers["content-type"], "video/mp4")
            self.assertEqual(content.content[4:8], b"ftyp")
            self.assertTrue(client.delete(one).json()["deleted"])
            self.assertEqual(client.get(one).status_code, 404)


if __name__ == "__main__":
    unittest.main()
