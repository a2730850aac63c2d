"""Users and rights into Kafka, by an administrator.

aiokafka's admin client knows neither; its protocol has the request for rights, and the one for users is added here.
"""

from __future__ import annotations

from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, for_code
from aiokafka.protocol.admin import CreateAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields

from stream import kafka as clients
from stream.security.place import Kafka, Right, Scram

RESOURCES = {"topic": 2, "group": 3}
OPERATIONS = {"read": 3, "write": 4, "describe": 8, "describe_configs": 10}
LITERAL, PREFIXED = 3, 4
ALLOW = 3
SHA_512 = 2
_TEXT = CompactString("utf-8")


class _AlterScramResponse(Response):
    API_KEY = 51  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    API_VERSION = 0  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", CompactArray(("user", _TEXT), ("code", Int16), ("message", _TEXT), ("tags", TaggedFields))),
        ("tags", TaggedFields),
    )


class _AlterScramRequest(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        ("deletions", CompactArray(("user", _TEXT), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("user", _TEXT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterScram(Request[_AlterScramRequest]):
    API_KEY = 51

    def __init__(self, users: list[Scram]) -> None:
        self._users = users

    def build(self, request_struct_class: type[_AlterScramRequest]) -> _AlterScramRequest:
        made = [(each.user, SHA_512, each.iterations, each.salt, each.salted, {}) for each in self._users]
        return request_struct_class([], made, {})


async def apply(kafka: clients.Kafka, wanted: Kafka) -> None:
    """Make users and give rights; what is there already stays, and a user's password becomes the new one.

    Raises
    ------
    ConnectionError
        If Kafka cannot be used, or who asks is no administrator.
    aiokafka.errors.KafkaError
        If the brokers refuse for another reason.
    """
    client = AIOKafkaClient(**kafka)
    try:
        try:
            await client.bootstrap()
        except KafkaConnectionError as error:
            raise await clients.unreached(kafka) from error
        with clients.allowed():
            answer: Any = await client.send(client.get_random_node(), _AlterScram(wanted.users))
            for user, code, message, _ in answer.results:
                _check(f"user {user}", code, message)
            for right in wanted.rights:
                given: Any = await client.send(client.get_random_node(), _request(right))
                for code, message in given.creation_responses:
                    _check(f"right of {right.user} to {right.operation} {right.name}", code, message)
    finally:
        await client.close()


def _request(right: Right) -> CreateAclsRequest:
    pattern = PREFIXED if right.prefix else LITERAL
    operation = OPERATIONS[right.operation]
    return CreateAclsRequest(
        RESOURCES[right.resource], right.name, pattern, f"User:{right.user}", "*", operation, ALLOW
    )


def _check(what: str, code: int, message: str | None) -> None:
    if code:
        raise for_code(code)(f"{what}: {message or 'refused'}")
