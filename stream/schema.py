"""JSON Schema of what goes in and comes out, and the topics as an AsyncAPI document: made from the code itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ecg.alert import Alert, Vitals
from ecg.frame import Command, Frame, Setup, Signed, Tick
from stream.seal import Seal
from stream.topic_table import (
    ALERTS,
    CHECKPOINTS,
    DEAD_LETTERS,
    INPUT,
    SEALS,
    STATE,
    TOPICS,
    VITALS,
    WEIGHTS,
    Topic,
    settings_of,
)

DRAFT = "https://json-schema.org/draft/2020-12/schema"
KINDS: dict[str, type[msgspec.Struct]] = {
    "frame": Frame,
    "tick": Tick,
    "command": Command,
    "setup": Setup,
    "signed": Signed,
    "alert": Alert,
    "vitals": Vitals,
    "seal": Seal,
}
"""What has a schema, by the name of its file."""
MESSAGEPACK, JSON, BYTES = "application/msgpack", "application/json", "application/octet-stream"
_CARRIES: dict[str, tuple[str, tuple[str, ...]]] = {
    INPUT: (MESSAGEPACK, ("frame", "tick", "command", "setup", "signed")),
    STATE: (MESSAGEPACK, ()),
    CHECKPOINTS: (MESSAGEPACK, ()),
    WEIGHTS: (BYTES, ()),
    VITALS: (JSON, ("vitals",)),
    ALERTS: (JSON, ("alert",)),
    SEALS: (MESSAGEPACK, ("signed",)),
    DEAD_LETTERS: (BYTES, ()),
}
ASYNCAPI = "asyncapi"


def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON Schema of each kind; of what is MessagePack, bytes are shown as JSON has them, in base 64."""
    found = {}
    for name, kind in KINDS.items():
        schema = msgspec.json.schema(kind)
        parts = schema.get("$defs", {})
        top = parts.pop(schema["$ref"].rpartition("/")[2]) if "$ref" in schema else schema
        whole = {"$schema": DRAFT, "$id": f"{name}.json", **top} | ({"$defs": parts} if parts else {})
        found[name] = _briefly(whole)
    return found


def _briefly(schema: Any) -> Any:
    """Keep of each description, which is a docstring, the first paragraph."""
    if isinstance(schema, list):
        return [_briefly(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    brief = {name: _briefly(value) for name, value in schema.items()}
    if isinstance(text := brief.get("description"), str):
        brief["description"] = " ".join(text.partition("\n\n")[0].split())
    return brief


def asyncapi(version: str) -> dict[str, Any]:
    """Return the topics as an AsyncAPI 3.0 document.

    Parameters
    ----------
    version : str
        Of Vigil.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Vigil", "version": version, "license": {"name": "Apache-2.0"}},
        "defaultContentType": MESSAGEPACK,
        "channels": {name: _channel(topic) for name, topic in TOPICS.items()},
        "components": {"messages": {name: _message(name) for name in KINDS}},
    }


def files(version: str) -> dict[str, bytes]:
    """Return what lies in `schema/`: content by the name of the file."""
    made = {f"{name}.json": schema for name, schema in schemas().items()} | {f"{ASYNCAPI}.json": asyncapi(version)}
    return {name: msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n" for name, content in made.items()}


def write(folder: Path, version: str) -> list[Path]:
    """Write all files into a folder, and return them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in files(version).items():
        (folder / name).write_bytes(content)
        written.append(folder / name)
    return written


def _channel(topic: Topic) -> dict[str, Any]:
    content, kinds = _CARRIES[topic.name]
    settings = settings_of(topic, 3)
    plain = {"contentType": content, "description": topic.value, "bindings": _keyed(topic.key)}
    messages = {name: {"$ref": f"#/components/messages/{name}"} for name in kinds} or {"bytes": plain}
    return {
        "address": topic.name,
        "description": f"{topic.what[0].upper()}{topic.what[1:]}. Key: {topic.key}.",
        "messages": messages,
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "topicConfiguration": {
                    "cleanup.policy": [settings["cleanup.policy"]],
                    "retention.ms": int(settings["retention.ms"]),
                    "max.message.bytes": int(settings["max.message.bytes"]),
                },
                "bindingVersion": "0.5.0",
            }
            | ({"partitions": topic.partitions} if topic.partitions else {})
        },
    }


def _message(name: str) -> dict[str, Any]:
    content = JSON if name in ("alert", "vitals", "seal") else MESSAGEPACK
    return {"name": name, "contentType": content, "payload": {"$ref": f"{name}.json"}}


def _keyed(key: str) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}}
