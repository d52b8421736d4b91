import unittest

from trial import trial

MISTAKES = (
    ("GET", "/no-such-path", 404),
    ("DELETE", "/health", 405),
    ("PUT", "{{path}}", 405),
)


class ServiceTest(unittest.TestCase):
    def test_describes_itself(self) -> None:
        with trial() as client:
            self.assertEqual(client.get("/health").json()["service"], "{{name}}")
            self.assertEqual(client.get("/v1/metadata").json()["capabilities"]["domains"], ["{{domain}}"])
            models = client.get("/v1/models").json()["data"]
            self.assertEqual([model["id"] for model in models], ["{{name}}"])
            self.assertIn("nexus_service_slots_active 0", client.get("/metrics").text)

    def test_answers_mistakes_with_errors_of_one_shape(self) -> None:
        with trial() as client:
            for method, path, status in MISTAKES:
                answer = client.request(method, path, headers={"x-request-id": "mistake-1"})
                self.assertEqual(answer.status_code, status)
                self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")
                self.assertEqual(answer.headers["x-request-id"], "mistake-1")


if __name__ == "__main__":
    unittest.main()
