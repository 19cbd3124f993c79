"""`/openapi.json`: valid, complete, and true of the server that it comes from."""

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import orjson
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from ingot import errors, limits
from ingot.http import operations
from ingot.http.ages import is_older
from ingot.http.examples import Example
from ingot.http.older_examples import EVERY_EXAMPLE
from ingot.schemas import answers
from ingot.schemas.described import body_schema
from ingot.schemas.fields import field_types, is_strict
from ingot.settings import Settings
from tests.http.client import JSON, Answer, Client
from tests.http.documented import routes
from tests.http.server import ServerProcess

HTTP_MD = (Path(__file__).parents[2] / "docs" / "http.md").read_text()


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.request("GET", "/openapi.json").ok()
    return found


def documented(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and operation; a templated path is given once for every value of it."""
    for template, methods in document["paths"].items():
        for method, operation in methods.items():
            paths = [template]
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path":
                    paths = [
                        path.replace("{" + parameter["name"] + "}", value)
                        for path in paths
                        for value in parameter["schema"]["enum"]
                    ]
            yield from ((method.upper(), path, operation) for path in paths)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_handler_is_described_and_nothing_else() -> None:
    handlers = {handler.__name__ for methods in routes().values() for handler in methods.values()}
    assert set(operations.OPERATIONS) == handlers, "say in `ingot.http.operations` what it does"


def test_every_route_is_documented_and_nothing_else(document: dict[str, Any]) -> None:
    served = {(method, path) for path, methods in routes().items() for method in methods if method != "HEAD"}
    assert {(method, path) for method, path, _ in documented(document)} == served
    ids = [
        operation["operationId"] for methods in document["paths"].values() for operation in methods.values()
    ]
    assert len(ids) == len(set(ids))


def test_every_documented_operation_is_answered(client: Client, document: dict[str, Any]) -> None:
    for method, path, operation in documented(document):
        answer = client.request(method, path)
        assert str(answer.status) in operation["responses"], (method, path, answer)
        if answer.status >= 400:
            assert answer.json["detail"]["error_code"] not in ("NOT_FOUND", "METHOD_NOT_ALLOWED"), (
                method,
                path,
            )


def test_every_path_is_in_the_page_about_http() -> None:
    rows = "\n".join(re.findall(r"^\| (`[A-Z].*?) \|", HTTP_MD.partition("## Endpoints")[2], re.MULTILINE))
    named = set(re.findall(r"`(?:[A-Z]+`, `)?[A-Z]+ (/[^`?]*)", rows))
    assert named == {path if not path.startswith("/docs/") else "/docs/{file}" for path in routes()}


def structs() -> list[Any]:
    return list(
        {one.struct.__name__: one.struct for one in operations.OPERATIONS.values() if one.struct}.values()
    )


@pytest.mark.parametrize("struct", structs(), ids=lambda struct: struct.__name__)
def test_every_field_is_documented_and_nothing_else(document: dict[str, Any], struct: Any) -> None:
    schema = document["components"]["schemas"][struct.__name__]
    assert set(schema["properties"]) == set(field_types(struct))
    assert schema["additionalProperties"] is not is_strict(struct)
    for name, kind in schema["properties"].items():
        assert kind.get("description"), f"{struct.__name__}.{name}: say in `kinds` what it is"
        assert {"type", "anyOf", "oneOf"} & kind.keys(), f"{struct.__name__}.{name} has no type"
    users = [name for name, one in operations.OPERATIONS.items() if one.struct is struct]
    assert users, f"no operation takes {struct.__name__}"
    for method, path, operation in documented(document):
        if "requestBody" in operation:
            name = operation["requestBody"]["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
            judged = document["components"]["schemas"][name]
            assert judged["additionalProperties"] is is_older(path), (method, path)
        if operation["operationId"] in users:
            asked = {one["name"]: one for one in operation["parameters"] if one["in"] == "query"}
            assert set(asked) == set(field_types(struct)) - struct.VECTORS
            assert all(one["description"] for one in asked.values())


def tree(cls: type[errors.IngotError]) -> list[type[errors.IngotError]]:
    return [cls, *(found for sub in cls.__subclasses__() for found in tree(sub))]


def test_every_error_code_is_documented_and_nothing_else(document: dict[str, Any]) -> None:
    codes = {cls.error_code for cls in tree(errors.IngotError)}
    schema = document["components"]["schemas"]["ErrorCode"]
    assert set(schema["enum"]) == codes
    assert set(re.findall(r"`([A-Z0-9_]+)`", schema["description"])) == codes
    answered: dict[str, set[str]] = {}
    for _, _, operation in documented(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                kind = response["content"][JSON]["schema"]["properties"]["detail"]["properties"]["error_code"]
                for code in kind["enum"]:
                    answered.setdefault(code, set()).add(status)
    # Those of no operation: another path, another method.
    assert set(answered) | {"METHOD_NOT_ALLOWED"} == codes
    for code, cls in operations.codes().items():
        assert code == "METHOD_NOT_ALLOWED" or str(cls.status) in answered[code], code


def test_the_page_about_http_names_no_error_code_that_is_none() -> None:
    table = HTTP_MD.partition("## Errors")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([A-Z]+_[A-Z0-9_]+)`", table)) | {"FORBIDDEN", "INTERNAL"}
    assert named <= {cls.error_code for cls in tree(errors.IngotError)}


def test_the_page_about_http_names_no_setting_that_is_none() -> None:
    table = HTTP_MD.partition("## Settings")[2]
    first_cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for cell in first_cells for name in re.findall(r"`(\w+)`", cell)}
    assert named == set(Settings.__dataclass_fields__)


def test_every_limit_and_setting_is_documented_and_nothing_else(document: dict[str, Any]) -> None:
    constants = {name.lower(): value for name, value in vars(limits).items() if name.isupper()}
    assert document["x-limits"] == constants
    assert set(document["x-settings"]) == set(Settings.__dataclass_fields__)
    for name, setting in document["x-settings"].items():
        assert setting["description"], name
        assert setting.get("default") == json.loads(json.dumps(getattr(Settings, name, None))), name


def test_the_document_has_the_body_limit_of_its_server(start: Callable[..., ServerProcess]) -> None:
    server = start("--body-limit", "1MiB")
    assert Client(server.port).request("GET", "/openapi.json").ok()["x-limits"]["max_body"] == 1 << 20


# The examples, sent.


def send(client: Client, path: str, example: Example) -> Answer:
    headers = {"X-Request-Id": "example"}
    if example.method in ("POST", "PATCH"):
        # As the document has them: the server answers some numbers as they were written.
        headers["Content-Type"] = JSON
        return client.request(example.method, path, orjson.dumps(example.fields), headers)
    query = "?" + urlencode(example.fields, doseq=True) if example.fields else ""
    return client.request(example.method, path + query, headers=headers)


def path_of(handler: str) -> str:
    return next(path for path, methods in routes().items() if methods[min(methods)].__name__ == handler)


def answer_type(example: Example) -> list[Any]:
    if example.status >= 400:
        return [answers.Refusal]
    found = operations.OPERATIONS[example.handler].answer
    return list(found) if isinstance(found, tuple) else [found]


def keeps_every_field(answer: Any, kind: Any) -> bool:
    try:
        return bool(msgspec.to_builtins(msgspec.convert(answer, kind)) == answer)
    except msgspec.ValidationError:
        return False


def test_every_example_is_answered_as_shown(start: Callable[..., ServerProcess]) -> None:
    client = Client(start().port)
    for example in EVERY_EXAMPLE:
        answer = send(client, path_of(example.handler), example)
        told = f"{example.handler}.{example.name}"
        assert (answer.status, answer.json) == (example.status, example.answer), told
        assert any(keeps_every_field(answer.json, kind) for kind in answer_type(example)), (
            f"{told}: `ingot.schemas.answers` has not the fields that were answered"
        )


def test_every_operation_of_a_tenant_has_an_example_of_each_kind(document: dict[str, Any]) -> None:
    for method, path, operation in documented(document):
        if operation["tags"] == ["Server"]:
            continue
        shown = operation["responses"]["200"]["content"][JSON]["examples"]
        assert shown, (method, path)
        if "requestBody" in operation:
            assert set(operation["requestBody"]["content"][JSON]["examples"]) == set(shown)


# What the schemas say of requests, asked of the server.

VECTOR = [1.0, 0.0, 0.0, 0.0]
SMALLEST: dict[str, dict[str, Any]] = {
    "InsertRequest": {"tenant_id": "schemas", "embeddings": [VECTOR], "dry_run": True},
    "SearchRequest": {"tenant_id": "schemas", "query_embedding": VECTOR},
    "GetRequest": {"tenant_id": "schemas"},
    "DeleteRequest": {"tenant_id": "schemas", "source_id": "a"},
    "StatusRequest": {"tenant_id": "schemas", "file_ids": ["a"]},
    "FirstUpdateRequest": {"tenant_id": "schemas", "embeddings": {"a_0": VECTOR}},
    "FirstSearchRequest": {"tenant_id": "schemas", "embeddings": VECTOR},
    "FirstChunksRequest": {"tenant_id": "schemas", "chunk_ids": []},
    "FirstTenantRequest": {"tenant_id": "schemas"},
    "CreateRequest": {"tenant_id": "schemas"},
}


def posted() -> list[tuple[str, Any]]:
    """Path and struct of every operation that reads a body."""
    found = []
    for path, methods in routes().items():
        handler = methods.get("POST")
        if handler is not None and (struct := operations.OPERATIONS[handler.__name__].struct):
            found.append((path, struct))
    return found


@pytest.fixture
def schemas(client: Client) -> Client:
    client.insert("schemas", [VECTOR], file_id="a").ok()
    return client


@pytest.mark.parametrize(("path", "struct"), posted())
def test_what_is_required_is_missed(schemas: Client, path: str, struct: Any) -> None:
    smallest = SMALLEST[struct.__name__]
    schemas.post(path, smallest).ok()
    for name in body_schema(struct)["required"]:
        less = {key: value for key, value in smallest.items() if key != name}
        schemas.post(path, less).refused(422, "MISSING_FIELD", field=name)
        schemas.post(path, {**smallest, name: None}).refused(422, "MISSING_FIELD", field=name)


def some(kind: dict[str, Any], vectors: bool) -> Any:
    if vectors:
        return [VECTOR] if kind["anyOf"][0]["items"]["type"] == "array" else VECTOR
    if kind.get("format") == "filter":
        return "source_id == 'a'"
    return ["a"] if "array" in kind["type"] else "a"


@pytest.mark.parametrize(("path", "struct"), posted())
def test_what_excludes_each_other_conflicts(schemas: Client, path: str, struct: Any) -> None:
    kinds = body_schema(struct)["properties"]
    both = {name: some(kinds[name], name in struct.VECTORS) for name in struct.ONE_OF}
    if both:
        schemas.post(path, {"tenant_id": "schemas", **both}).refused(422, "CONFLICTING_FIELDS")
        for name, value in both.items():
            schemas.post(path, {"tenant_id": "schemas", name: value}).ok()
        answer = schemas.post(path, {"tenant_id": "schemas"})
        if struct.ONE_NEEDED:
            answer.refused(422, "MISSING_FIELD")
        else:
            answer.ok()


def at_the_edge(kind: dict[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Values at and just beyond what a schema allows, and whether it allows them."""
    inner = kind.get("anyOf", [kind])[0]
    names = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
    yield None, "null" in names or {"type": "null"} in kind.get("anyOf", ())
    if inner.get("format") == "filter":
        good, most = "source_id == 'a'", inner["maxLength"]
        yield from ((good, True), (f"{good:{most}}", True), (f"{good:{most + 1}}", False))
        yield from ((1, False), ("", False), ("a", False))
    elif "string" in names:
        yield 1, False
        if "maxLength" in inner:
            most = inner["maxLength"]
            yield from (("x" * most, True), ("x" * (most + 1), False), ("a\x00b", False))
            yield "", inner["minLength"] == 0
        elif "pattern" in inner:
            yield from (("0badcafe", None), ("0BADCAFE", False), ("bad", False))  # type: ignore[misc]
        elif "enum" in inner:
            yield from (*((one, True) for one in inner["enum"]), ("other", False), ("", False))
    if "boolean" in names:
        yield from ((True, True), (False, "enum" not in inner), (1, False), ("true", False))
    if "integer" in names:
        low, high = inner["minimum"], inner["maximum"]
        yield from (
            (low, True),
            (low - 1, False),
            (high, True),
            (high + 1, False),
            (1.5, False),
            ("1", False),
        )
    if names[0] == "number":
        yield from ((-1.5, True), (3, True), ("1", False))
    if "array" in names and "items" in inner:
        yield "a", False
        item = inner["items"]
        if item.get("type") == "string":
            good = item["enum"][0] if "enum" in item else "a"
            yield from (([good], True), ([1], False))
            if "maxItems" in inner:
                yield [good] * inner["maxItems"], True
                yield [good] * (inner["maxItems"] + 1), False
            if "maxLength" in item:
                yield ["x" * item["maxLength"]], True
                yield ["x" * (item["maxLength"] + 1)], False
            if "enum" in item:
                yield ["other"], False
        elif item["type"] == "array":
            most = item["maxItems"]
            yield from (([[1.0] * most], None), ([[1.0] * (most + 1)], False), ([[]], False))  # type: ignore[misc]
            yield [VECTOR] * inner["maxItems"], True
            yield [VECTOR] * (inner["maxItems"] + 1), False
        else:
            low, high = item["minimum"], item["maximum"]
            yield from (([low, 0.0, 0.0, 0.0], True), ([high, 0.0, 0.0, 0.0], True))
            yield [math.nextafter(low, -math.inf), 0.0, 0.0, 0.0], False
            yield [math.nextafter(high, math.inf), 0.0, 0.0, 0.0], False
        if inner.get("minItems"):
            yield [], False
    if "object" in names:
        yield from (({}, True), ({"a": [1, {"b": None}]}, True), ("a", False), ([], False))


@pytest.mark.parametrize(("path", "struct"), posted())
def test_every_field_takes_what_its_schema_says(schemas: Client, path: str, struct: Any) -> None:
    for name, kind in body_schema(struct)["properties"].items():
        smallest = {
            key: value
            for key, value in SMALLEST[struct.__name__].items()
            if key == name or name not in struct.ONE_OF or key not in struct.ONE_OF
        }
        judged = 0
        for value, allowed in at_the_edge(kind):
            if value is None and name in struct.ONE_OF and struct.ONE_NEEDED:
                continue
            answer = schemas.post(path, {**smallest, name: value})
            told = (name, str(value)[:60], answer.status, answer.body[:200])
            judged += 1
            # What is not there is no fault of its name, and a tenant with other settings none of these.
            if allowed:
                assert answer.status in (200, 404, 409), told
            elif allowed is not None:
                assert answer.status in (400, 413, 422), told
        assert judged > 2, name


def test_the_document_is_the_same_for_head(client: Client) -> None:
    get, head = client.request("GET", "/openapi.json"), client.request("HEAD", "/openapi.json")
    assert head.body == b""
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.body))
    assert json.loads(get.body)
