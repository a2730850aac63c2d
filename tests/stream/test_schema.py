"""The schemas checked in are those that the code gives, and what the code makes follows them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from ecg.alert import Alert, Evidence, Risk, Source, Vitals, encode
from ecg.frame import Frame, Signed
from ecg.frame import decode as decode_input
from stream.schema import KINDS, asyncapi, files, schemas
from stream.seal import Head, Seal
from stream.seal import encode as encode_seal
from stream.topic_table import TOPICS
from tests.golden.frames import written

FOLDER = Path(__file__).parents[2] / "schema"
VERSION = version("vigil-ecg")
ALERT = Alert(
    "c0ffee", "e", 0, 0, "", "a", "7", "icu", "asystole", "MDC 199684", "high", "***", "start", "on", 1, 2, 0.0, 4.0,
    "s", Risk("high", 0.5, ("asystole",)), Evidence("trace", "NNN", {"VF": 0.1}, {"II": "good"}, ("II",), (0, 9)),
    Source("ecg.input.v1", 0, 1, 1), ("ab",), "cd", "0",
)  # fmt: skip
VITALS = Vitals("a", "7", "icu", 1, None, "asystole", {"II": "good"}, None, ("asystole",), (0.1,))


def test_the_files_in_the_repository_are_those_that_vigil_schema_writes() -> None:
    made = files(VERSION)
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == made, "run `vigil schema --to schema`"


@pytest.mark.parametrize("name", KINDS)
def test_each_is_a_json_schema_with_every_field(name: str) -> None:
    schema = schemas()[name]
    Draft202012Validator.check_schema(schema)
    assert set(KINDS[name].__struct_encode_fields__) <= set(schema["properties"])


def follows(name: str, item: Any) -> bool:
    return Draft202012Validator(schemas()[name]).is_valid(item)


def test_what_is_published_follows_its_schema_and_what_is_not_like_it_does_not() -> None:
    seal = Seal(0, 1, 2, 3, "", "0", {"a": Head(1, "ab")})
    for name, value in (("alert", encode(ALERT)), ("vitals", encode(VITALS)), ("seal", encode_seal(seal))):
        said = msgspec.json.decode(value)
        assert follows(name, said)
        for field in schemas()[name]["required"]:
            assert not follows(name, {key: held for key, held in said.items() if key != field}), field
        assert not follows(name, said | {next(iter(said)): []})
    assert not follows("alert", msgspec.json.decode(encode(ALERT)) | {"priority": "urgent"})


@pytest.mark.parametrize("name", written())
def test_golden_records_follow_theirs(name: str) -> None:
    value, said = written()[name]
    record = decode_input(value)
    if isinstance(record, Frame | Signed):  # bytes are base 64 in JSON
        said = msgspec.json.decode(msgspec.json.encode(record))
    assert follows(said["type"], said)


def test_the_asyncapi_document_has_each_topic_as_the_table_has_it_and_every_reference_leads_somewhere() -> None:
    document = asyncapi(VERSION)
    assert set(document["channels"]) == set(TOPICS)
    for name, topic in TOPICS.items():
        kafka = document["channels"][name]["bindings"]["kafka"]
        assert kafka["topicConfiguration"]["retention.ms"] == topic.retention_ms
        assert kafka.get("partitions", 0) == topic.partitions
        for message in document["channels"][name]["messages"].values():
            if "$ref" in message:
                assert message["$ref"].rpartition("/")[2] in document["components"]["messages"]
    registry = Registry().with_resources(
        (f"{name}.json", Resource.from_contents(schema)) for name, schema in schemas().items()
    )
    for message in document["components"]["messages"].values():
        assert registry.contents(message["payload"]["$ref"])["title"]
