"""The operations of the contract, by their ids: SERVICE_API_SPECIFICATION.md of the platform has the same table."""

from __future__ import annotations

from collections.abc import Mapping

from nexus_form import read_form
from nexus_kit import JSON, Operation

SOUND = ("audio/mpeg", "audio/wav", "audio/ogg", "audio/flac", "audio/aac", "audio/pcm")
FILM = ("video/mp4", "image/webp", "image/jpeg")


def _jobs(name: str, what: str, content: tuple[str, ...]) -> list[Operation]:
    path, one = f"/v1/{name}", f"/v1/{name}" + "/{id}"
    form = read_form if name == "videos" else None
    return [
        Operation(f"{name}.create", path, read_form=form, summary=f"Begin to make {what}"),
        Operation(f"{name}.list", path, "GET", is_look=True, summary="List what is made, or being made"),
        Operation(f"{name}.retrieve", one, "GET", is_look=True, summary=f"Say how far {what} is"),
        Operation(f"{name}.delete", one, "DELETE", is_look=True, summary=f"Delete {what}"),
        Operation(f"{name}.download_content", f"{one}/content", "GET", content, is_look=True, summary=f"Fetch {what}"),
    ]


#: Those that stream say so here; pictures, sound and transcripts are streamed by few, who say so with
#: `dataclasses.replace(operation, streams=True)`.
OPERATIONS: Mapping[str, Operation] = {
    operation.id: operation
    for operation in [
        Operation("chat.completions.create", "/v1/chat/completions", streams=True, summary="Answer a conversation"),
        Operation("completions.create", "/v1/completions", streams=True, summary="Continue a text"),
        Operation("responses.create", "/v1/responses", streams=True, summary="Answer an input, in items"),
        Operation("messages.create", "/v1/messages", streams=True, summary="Answer a conversation, as Anthropic does"),
        Operation("messages.count_tokens", "/v1/messages/count_tokens", summary="Count the tokens of a conversation"),
        Operation("embeddings.create", "/v1/embeddings", summary="Turn texts into vectors"),
        Operation("moderations.create", "/v1/moderations", summary="Say whether texts are harmful, and how"),
        Operation("rerank", "/v1/rerank", summary="Order documents by how well they answer a query"),
        Operation("ocr", "/v1/ocr", summary="Read a document page by page, as Markdown"),
        Operation("tools.call", "/v1/tools/call", summary="Call a tool with arguments"),
        Operation("images.generate", "/v1/images/generations", summary="Make pictures of a text"),
        Operation("images.edit", "/v1/images/edits", read_form=read_form, summary="Change pictures as a text says"),
        Operation(
            "images.create_variation",
            "/v1/images/variations",
            takes_json=False,
            read_form=read_form,
            summary="Make pictures like a picture",
        ),
        Operation("audio.speech.create", "/v1/audio/speech", answers=SOUND, summary="Speak a text"),
        Operation(
            "audio.transcriptions.create",
            "/v1/audio/transcriptions",
            answers=(JSON, "text/plain"),
            takes_json=False,
            read_form=read_form,
            summary="Write down what is said",
        ),
        Operation(
            "audio.translations.create",
            "/v1/audio/translations",
            answers=(JSON, "text/plain"),
            takes_json=False,
            read_form=read_form,
            summary="Write down in English what is said",
        ),
        *_jobs("videos", "a film", FILM),
        Operation(
            "videos.remix",
            "/v1/videos/{id}/remix",
            has_model=False,
            read_form=read_form,
            summary="Begin to make a film out of a film and a text",
        ),
        *_jobs("music", "a piece of music", SOUND),
    ]
}
