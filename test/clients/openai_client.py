"""Drives the official OpenAI client for Python against a gateway.

Usage: openai_client.py BASE_URL API_KEY MODEL. Prints one line a check; exits 1 at the first that fails.
"""

import json
import sys

import openai


def check(name: str, holds: bool, seen: object = "") -> None:
    if not holds:
        print(f"FAILED {name}: {seen!r}")
        sys.exit(1)
    print(f"ok {name}")


def raises(kind: type[openai.APIStatusError], code: str, call) -> bool:
    try:
        call()
    except kind as error:
        return error.code == code
    return False


def main(base_url: str, api_key: str, model: str) -> None:
    client = openai.OpenAI(base_url=base_url, api_key=api_key, max_retries=0, timeout=120)
    messages = [{"role": "user", "content": "What is the capital of France?"}]

    check("models", model in [listed.id for listed in client.models.list()])

    answer = client.chat.completions.create(model=model, messages=messages, max_tokens=16, temperature=0)
    check("chat", bool(answer.choices[0].message.content), answer)
    check("usage", answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens, answer.usage)

    text, pieces = "", 0
    stream = client.chat.completions.create(model=model, messages=messages, max_tokens=16, temperature=0, stream=True)
    for chunk in stream:
        for choice in chunk.choices:
            if choice.delta.content:
                text += choice.delta.content
                pieces += 1
    check("stream", text == answer.choices[0].message.content and pieces > 1, text)

    schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"], "additionalProperties": False}
    response_format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    shaped = client.chat.completions.create(model=model, messages=messages, max_tokens=64, response_format=response_format)
    check("json schema", isinstance(json.loads(shaped.choices[0].message.content)["yes"], bool), shaped)

    city = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"], "additionalProperties": False}
    tool = {"type": "function", "function": {"name": "get_weather", "description": "The weather of a city", "parameters": city}}
    choice = {"type": "function", "function": {"name": "get_weather"}}
    asked = dict(model=model, messages=messages, tools=[tool], tool_choice=choice, max_tokens=200, temperature=0)
    if client.models.retrieve(model).nexus["features"].get("tools", {}).get("value") is True:
        call = client.chat.completions.create(**asked).choices[0].message.tool_calls[0].function
        check("tools", call.name == "get_weather" and isinstance(json.loads(call.arguments)["city"], str), call)
    else:
        check("tools", raises(openai.BadRequestError, "unsupported_feature", lambda: client.chat.completions.create(**asked)))

    vectors = client.embeddings.create(model=model, input=["a cat", "a kitten"])
    check("embeddings", len(vectors.data) == 2 and len(vectors.data[0].embedding) > 16)

    with client.chat.completions.create(model=model, messages=messages, max_tokens=500, stream=True) as cut:
        next(iter(cut))
    check("abort", bool(client.chat.completions.create(model=model, messages=messages, max_tokens=4).id))

    def ask(**changes):
        return client.chat.completions.create(**{"model": model, "messages": messages, **changes})

    check("unknown model", raises(openai.NotFoundError, "model_not_found", lambda: ask(model=model + "x")))
    long = [{"role": "user", "content": "word " * 60_000}]
    check("context overflow", raises(openai.BadRequestError, "context_length_exceeded", lambda: ask(messages=long)))
    stranger = openai.OpenAI(base_url=base_url, api_key="nxs_wrong", max_retries=0)
    check("wrong key", raises(openai.AuthenticationError, "invalid_api_key", lambda: stranger.models.list()))


if __name__ == "__main__":
    main(*sys.argv[1:4])
