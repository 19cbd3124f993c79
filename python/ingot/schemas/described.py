"""Structs as JSON Schema (2020-12, https://json-schema.org): requests as bodies and as parameters, and answers."""

from collections.abc import Iterable
from typing import Any, get_type_hints

import msgspec

from ingot.schemas.fields import is_strict

__all__ = ["answer_schemas", "body_schema", "parameters"]


def _kinds(struct: Any) -> dict[str, dict[str, Any]]:
    """Name -> schema of every field, null left out; what all requests have comes first."""
    found: dict[str, dict[str, Any]] = {}
    order = list(get_type_hints(struct))
    for field in sorted(msgspec.structs.fields(struct), key=lambda field: order.index(field.name)):
        schema = msgspec.json.schema_components([field.type])[0][0]
        some = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
        found[field.encode_name] = some[0] if len(some) == 1 else schema
    return found


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that may be null, which is as good as absent; what is said of it stays outside."""
    said = {key: value for key, value in schema.items() if key in ("description", "default")}
    inner = {key: value for key, value in schema.items() if key not in said}
    kind = inner.get("type")
    if isinstance(kind, list):
        return schema
    if "anyOf" in inner:
        return {**said, **inner, "anyOf": [*inner["anyOf"], {"type": "null"}]}
    if isinstance(kind, str) and "enum" not in inner:
        return {**said, **inner, "type": [kind, "null"]}
    return {**said, "anyOf": [inner, {"type": "null"}]}


def _given(name: str) -> dict[str, Any]:
    return {"required": [name], "properties": {name: {"not": {"type": "null"}}}}


def body_schema(struct: Any) -> dict[str, Any]:
    """The JSON object that a request struct is read from."""
    needed = [*struct.NEEDED, *sorted(struct.VECTORS - set(struct.ONE_OF))]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {
            name: kind if name in needed else _or_null(kind) for name, kind in _kinds(struct).items()
        },
        "additionalProperties": not is_strict(struct),
        "required": needed,
    }
    if struct.ONE_NEEDED:
        schema["oneOf"] = [_given(name) for name in struct.ONE_OF]
    elif struct.ONE_OF:
        schema["not"] = {"allOf": [_given(name) for name in struct.ONE_OF]}
    return schema


def parameters(struct: Any, *, required: bool) -> list[dict[str, Any]]:
    """The query parameters of a request struct, as OpenAPI describes them; `required`: there is no body."""
    found = []
    for name, kind in _kinds(struct).items():
        if name in struct.VECTORS:
            continue
        said = {key: value for key, value in kind.items() if key != "description"}
        description = kind.get("description", "")
        if "object" in _types(said):
            # With `contentMediaType`, which would say more, Swagger UI asks for a file.
            said = {"type": "string"}
            description += " As JSON text."
        if not required and "default" in said:
            # A page would fill it in, and contradict the body.
            description += f" Default: {msgspec.json.encode(said.pop('default')).decode()}."
        found.append(
            {
                "name": name,
                "in": "query",
                "required": required and name in struct.NEEDED,
                "description": description,
                "schema": said,
            }
        )
    return found


def _types(schema: dict[str, Any]) -> list[str]:
    kind = schema.get("type", [])
    return kind if isinstance(kind, list) else [kind]


def answer_schemas(answers: Iterable[Any]) -> dict[str, Any]:
    """Name -> schema of the structs that answer, and of those within them."""
    return msgspec.json.schema_components(list(answers), ref_template="#/components/schemas/{name}")[1]
