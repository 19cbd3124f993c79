"""The document of the service: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1), made from what serves and judges.

The table of paths says which operations there are, `operations` what they do, the request structs their fields, the
tree of errors their refusals, the limits and settings theirs; `examples` shows them.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec
import orjson

from ingot import limits
from ingot.http.ages import is_older
from ingot.http.examples import Example
from ingot.http.older_examples import EVERY_EXAMPLE
from ingot.http.operations import OPERATIONS, Operation, codes, refusals
from ingot.schemas import answers
from ingot.schemas.described import answer_schemas, body_schema, parameters
from ingot.schemas.fields import forgiving
from ingot.settings import described

__all__ = ["document"]

_JSON = "application/json"
_OLDER = "Older"
_ABOUT = """\
A self-hosted store for embeddings.

**Fields.** A request is a JSON object. A field may also be a query parameter (form-encoded UTF-8, lists by repetition,
`document_metadata` as JSON text), but for the vectors; the same field with two different values is 422
`CONFLICTING_FIELDS`. `null` is as good as absent. Unknown fields are 422 `UNKNOWN_FIELD` with the nearest known name;
on the paths of earlier ages, which are marked as deprecated and keep working, they are ignored.

**Bodies** may be packed: `Content-Encoding: gzip`, `deflate` or `zstd`, one of them. What they unpack to counts against
the limit.

**Answers** only gain fields: ignore those that you do not know. Every one has a header `X-Request-Id`; send your own
(1 to {MAX_REQUEST_ID} visible ASCII characters) and it is kept. `HEAD` works wherever `GET` does.

**Errors** of every kind, of unknown paths (404 `NOT_FOUND`) and methods (405 `METHOD_NOT_ALLOWED`, with `Allow`) too,
have one body, `Refusal`; its codes are listed at `ErrorCode`.

**Keys.** `Authorization: Bearer <key>`. While no key has been made, requests need none.

Limits are in `x-limits`, the server's settings and their defaults in `x-settings`.
"""


def document(paths: Mapping[str, Mapping[str, Any]], version: str, body_limit: int) -> bytes:
    """The document of a server with these paths (path -> method -> handler), as JSON."""
    shown: dict[str, Any] = {}
    used: set[str] = set()
    structs: dict[str, tuple[Any, str]] = {}
    for path, methods in paths.items():
        for method, handler in methods.items():
            name = handler.__name__
            operation = OPERATIONS[name]
            if method == "HEAD":
                continue
            if operation.struct is not None:
                struct = _struct(operation, older=is_older(path))
                structs[struct.__name__] = (struct, operation.summary)
            place = shown.setdefault(_template(path, operation), {})
            if method.lower() not in place:
                place[method.lower()] = _operation(
                    operation, name, method, _unused(name, used), older=is_older(path)
                )
    return orjson.dumps(
        {
            "openapi": "3.1.1",
            "info": {
                "title": "ingot",
                "version": version,
                "description": _ABOUT.format(MAX_REQUEST_ID=limits.MAX_REQUEST_ID),
                "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
            },
            "servers": [{"url": "/", "description": "This server"}],
            "tags": [
                {"name": tag}
                for tag in dict.fromkeys(one.tag for one in OPERATIONS.values() if one.tag != _OLDER)
            ]
            + [
                {
                    "name": _OLDER,
                    "description": "Paths and shapes of earlier ages, for the clients that have them.",
                }
            ],
            "security": [{"key": []}, {}],
            "paths": shown,
            "components": {
                "schemas": _schemas(structs),
                "headers": _HEADERS,
                "securitySchemes": {
                    "key": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "ingot_<id>_<secret>",
                        "description": "A key of this server; none is needed while none has been made.",
                    }
                },
            },
            "x-limits": {**_limits(), "max_body": body_limit},
            "x-settings": _settings(),
        }
    )


def _template(path: str, operation: Operation) -> str:
    for name in operation.path_values:
        path = f"{path.rpartition('/')[0]}/{{{name}}}"
    return path


def _unused(name: str, used: set[str]) -> str:
    number, chosen = 1, name
    while chosen in used:
        number += 1
        chosen = f"{name}_{number}"
    used.add(chosen)
    return chosen


_HEADERS: dict[str, Any] = {
    "X-Request-Id": {
        "description": "The id of the request, sent or made; the server's log has it too.",
        "required": True,
        "schema": {"type": "string", "pattern": f"^[!-~]{{1,{limits.MAX_REQUEST_ID}}}$"},
    },
    "Retry-After": {
        "description": "Seconds after which the same request may succeed.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How keys are sent.",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-Next-Cursor": {
        "description": "The `cursor` of the request for what follows; not there when nothing does.",
        "required": False,
        "schema": {"type": "string", "pattern": "^[0-9a-f]+$"},
    },
    "Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"}},
}


def _headers(status: int) -> dict[str, Any]:
    names = ["X-Request-Id"]
    if status == 401:
        names.append("WWW-Authenticate")
    if status in (429, 503):
        names.append("Retry-After")
    if status in (301, 302, 307, 308):
        names.append("Location")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _operation(
    operation: Operation, name: str, method: str, operation_id: str, *, older: bool
) -> dict[str, Any]:
    # DELETE takes a body too, but the standard gives it no meaning.
    with_body = operation.struct is not None and method in ("POST", "PUT", "PATCH")
    examples = {
        one.name: one for one in EVERY_EXAMPLE if one.handler == name and (with_body or one.method == method)
    }
    told: dict[str, Any] = {
        "operationId": operation_id,
        "tags": [_OLDER if older else operation.tag],
        "summary": operation.summary,
        "description": operation.description,
    }
    if older:
        told["deprecated"] = True
    if operation.public:
        told["security"] = []
    asked = [_path_parameter(*pair) for pair in operation.path_values.items()]
    asked += [
        {"name": header, "in": "header", "required": False, "description": said, "schema": schema}
        for header, (said, schema) in operation.headers.items()
    ]
    if operation.struct is not None:
        asked += parameters(operation.struct, required=not with_body)
        if not with_body:
            _show(asked, next(iter(examples.values()), None))
    if asked:
        told["parameters"] = asked
    if with_body:
        told["requestBody"] = _body(operation, examples, older=older)
    told["responses"] = {
        str(operation.status): _answer(operation, examples),
        **{str(status): _refusal(status, some, examples) for status, some in refusals(operation).items()},
    }
    return told


def _path_parameter(name: str, values: tuple[str, ...]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "enum": list(values)}}


def _show(asked: list[dict[str, Any]], example: Example | None) -> None:
    """Fills parameters in with those of an example."""
    for parameter in asked:
        if example is not None and parameter["name"] in example.fields:
            parameter["example"] = example.fields[parameter["name"]]


def _body(operation: Operation, examples: Mapping[str, Example], *, older: bool) -> dict[str, Any]:
    struct = _struct(operation, older=older)
    content: dict[str, Any] = {
        _JSON: {
            "schema": {"$ref": f"#/components/schemas/{struct.__name__}"},
            "examples": {
                name: {"summary": one.summary, "value": one.fields}
                for name, one in examples.items()
                if one.status == operation.status
            },
        }
    }
    for kind, schema in operation.bodies.items():
        content[kind] = {"schema": schema}
    return {"required": not operation.body_optional, "content": content}


def _answer(operation: Operation, examples: Mapping[str, Example]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": "Done.", "headers": _headers(operation.status)}
    if operation.traits & {"pages", "listing"}:
        told["headers"]["X-Next-Cursor"] = {"$ref": "#/components/headers/X-Next-Cursor"}
    if operation.content:
        schema = {"type": "string"} if operation.answer is None else _reference(operation.answer)
        told["content"] = {kind: {"schema": schema} for kind in operation.content}
        shown = _answers(examples, operation.status)
        if shown:
            told["content"][_JSON]["examples"] = shown
    return told


def _answers(examples: Mapping[str, Example], status: int) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, one in examples.items():
        if one.status == status:
            shown[name] = {"summary": one.summary, "value": one.answer}
            if status >= 400:
                asked = orjson.dumps(one.fields).decode()
                shown[name]["description"] = f"The answer to\n```json\n{asked}\n```"
    return shown


def _reference(answer: Any) -> dict[str, Any]:
    if isinstance(answer, tuple):
        return {"anyOf": [_reference(one) for one in answer]}
    schema: dict[str, Any] = msgspec.json.schema_components(
        [answer], ref_template="#/components/schemas/{name}"
    )[0][0]
    return schema


def _refusal(status: int, some: list[str], examples: Mapping[str, Example]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "schema": {
            "$ref": "#/components/schemas/Refusal",
            "properties": {"detail": {"properties": {"error_code": {"enum": some}}}},
        }
    }
    shown = _answers(examples, status)
    if shown:
        content["examples"] = shown
    return {
        "description": ", ".join(f"`{code}`" for code in some),
        "headers": _headers(status),
        "content": {_JSON: content},
    }


def _struct(operation: Operation, *, older: bool) -> Any:
    """What a request to an operation is read into."""
    return forgiving(operation.struct) if older else operation.struct


def _schemas(structs: Mapping[str, tuple[Any, str]]) -> dict[str, Any]:
    found = answer_schemas(getattr(answers, name) for name in answers.__all__)
    for name, (struct, summary) in structs.items():
        found[name] = {"title": name, "description": f"{summary}.", **body_schema(struct)}
    found["Detail"]["properties"]["error_code"] = {"$ref": "#/components/schemas/ErrorCode"}
    found["ErrorCode"] = {
        "title": "ErrorCode",
        "type": "string",
        "description": "The codes are stable.\n\n| status | code | |\n|---|---|---|\n"
        + "\n".join(
            f"| {cls.status} | `{code}` | {_first_line(cls)} |"
            for code, cls in sorted(codes().items(), key=lambda pair: (pair[1].status, pair[0]))
        ),
        "enum": sorted(codes()),
    }
    return dict(sorted(found.items()))


def _first_line(cls: type[Exception]) -> str:
    return (cls.__doc__ or "").partition("\n")[0]


def _limits() -> dict[str, int]:
    return {
        name.lower(): value
        for name, value in vars(limits).items()
        if re.fullmatch(r"[A-Z][A-Z0-9_]*", name) and isinstance(value, int)
    }


def _settings() -> dict[str, Any]:
    """What an operator may set; what this server has set is not told."""
    told: dict[str, Any] = {}
    for name, (kind, rule, default) in described().items():
        choices = get_args(kind)
        told[name] = {
            "description": rule.help,
            "type": _KINDS.get(kind, "string"),
            **({"enum": list(choices)} if get_origin(kind) is Literal else {}),
            **({"unit": rule.unit} if rule.unit else {}),
            **({} if default is dataclasses.MISSING else {"default": default}),
        }
    return told


# Text, where nothing else stands here.
_KINDS: dict[Any, str] = {bool: "boolean", int: "integer", float: "number", tuple[str, ...]: "array"}
