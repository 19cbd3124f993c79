"""What OpenAPI cannot say of a request, put right in those that schemathesis makes up to be accepted.

Each rule names what the document says of it in words alone. Requests that are to be refused are sent as they are, but
for the parameters beside a broken body: they may stand in for what it lacks.
"""

import base64
import json
import os
from typing import Any

import numpy as np
import schemathesis
from schemathesis.core import NOT_SET
from schemathesis.core.parameters import ParameterLocation

from ingot.schemas.fields import field_types
from tests.http.client import JSON, NPY, Client, npy
from tests.http.documented import operation_of

TENANT = "made up"
# A parameter list as long as a document may have it does not fit a request line.
MOST_IN_A_LIST = 20
MOST_IN_A_LINE = 8000


def dimension(tenant_id: Any) -> int:
    """A tenant has one dimension."""
    return 1 + len(str(tenant_id)) % 5


def row(numbers: list[Any], tenant_id: Any) -> list[Any]:
    """Numbers as a row of the tenant's dimension that is not all zero as float32."""
    width = dimension(tenant_id)
    some = ([*numbers, *[1.0] * width])[:width]
    with np.errstate(over="ignore"):
        zero = not np.array(some, dtype=np.float64).astype(np.float32).any()
    return [1.0, *some[1:]] if zero else some


def ones(extents: list[Any], dtype: str, tenant_id: Any) -> dict[str, Any]:
    """Base64 that has the length which its shape asks for."""
    shape = [*(1 + int(extent) % 3 for extent in extents[:-1]), dimension(tenant_id)]
    return packed(np.ones(shape, dtype))


def packed(numbers: np.ndarray) -> dict[str, Any]:
    """An array as base64."""
    data = base64.b64encode(numbers.tobytes()).decode()
    return {"data": data, "dtype": numbers.dtype.name, "shape": list(numbers.shape)}


def no_longer(name: str, value: Any) -> Any:
    """Ids have a limit in bytes; JSON Schema counts characters."""
    most = {"tenant_id": 255, "sub_tenant_id": 255, "chunk_ids": 520}.get(name, 512)
    if isinstance(value, str):
        return value.encode(errors="replace")[:most].decode(errors="ignore")
    if isinstance(value, list):
        return [no_longer(name, one) for one in value]
    return value


def settled(fields: dict[str, Any], struct: Any) -> dict[str, Any]:
    """Fields within their limits, the first of those that exclude each other, nothing that only a server makes up."""
    found = {
        name: no_longer(name, value) if name.endswith(("_id", "_ids")) else value
        for name, value in fields.items()
        if name not in ("crc32c", "cursor")
    }
    if "filter_expr" in found:
        found["filter_expr"] = filter_with(found["filter_expr"])
    for other in [name for name in struct.ONE_OF if found.get(name) is not None][1:]:
        del found[other]
    return found


def filter_with(text: Any) -> Any:
    """A filter that names the text: one that is made up is none."""
    if not isinstance(text, str):
        return text
    return f"source_id != {json.dumps(text[:100].encode(errors='replace').decode())}"


def fill(fields: dict[str, Any]) -> None:
    """What is to be read or deleted has to be there: others delete it."""
    tenant_id = fields["tenant_id"]
    rows = [[1.0] * dimension(tenant_id)]
    client = Client(int(os.environ["MADE_UP_PORT"]))
    client.insert(tenant_id, rows, sub_tenant_id=fields.get("sub_tenant_id"), file_id="filled").ok()


def without_file_id(metadata: Any) -> Any:
    """The metadata may name the source too, and then the same as `file_id`."""
    if isinstance(metadata, dict):
        return {name: value for name, value in metadata.items() if name != "file_id"}
    return metadata


def documents(made_up: list[dict[str, Any]], tenant_id: Any) -> list[dict[str, Any]]:
    """Documents that name a source, and a chunk, once."""
    found, chunks = [], 0
    for number, document in enumerate(made_up):
        one = {**document, "source_id": no_longer("source_id", f"{number} {document['source_id']}")}
        if "metadata" in document:
            one["metadata"] = without_file_id(document["metadata"])
        named = document.get("chunk_ids") or [chunk["chunk_id"] for chunk in document["embeddings"]]
        ids = [no_longer("chunk_ids", f"{chunks + place} {name}") for place, name in enumerate(named)]
        chunks += len(ids)
        if "chunk_ids" in document:
            one["chunk_ids"] = ids
            numbers = np.ones((len(ids), dimension(tenant_id)), document["embeddings"]["dtype"])
            one["embeddings"] = packed(numbers)
        else:
            one["embeddings"] = [
                {"chunk_id": name, "embedding": row(chunk["embedding"], tenant_id)}
                for name, chunk in zip(ids, document["embeddings"], strict=True)
            ]
        found.append(one)
    return found


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Changes a case before it is sent."""
    operation = operation_of(case.method, case.path)
    if operation is None or operation.struct is None or case.meta is None:
        return
    struct = operation.struct
    if not case.meta.generation.mode.is_positive:
        broken = case.meta.components.get(ParameterLocation.BODY)
        if broken is not None and broken.mode.is_negative:
            case.query = {}
        elif len(str((case.query or {}).get("filter_expr", ""))) > MOST_IN_A_LINE:
            # One that is too long for a filter is too long for a request line, whose refusal is another one: too short.
            case.query = {**case.query, "filter_expr": ""}
        return
    query = settled(dict(case.query or {}), struct)
    for name, value in query.items():
        if isinstance(value, list):
            query[name] = value[:MOST_IN_A_LIST]
    if "document_metadata" in query:
        # A parameter is JSON text, not any.
        query["document_metadata"] = json.dumps({"text": query["document_metadata"]})
    body = case.body
    if isinstance(body, dict) and case.media_type == JSON:
        body = settled(body, struct)
        if "document_metadata" in body:
            body["document_metadata"] = without_file_id(body["document_metadata"])
        # The same field in body and parameter has to be the same value.
        given = {name for name, value in body.items() if value is not None}
        if given & set(struct.ONE_OF):
            given |= set(struct.ONE_OF)
        query = {name: value for name, value in query.items() if name not in given}
        tenant_id = body["tenant_id"]
        for name in struct.VECTORS:
            match body.get(name):
                case [{}, *_] as some:
                    body[name] = documents(some, tenant_id)
                    # Each document has its own.
                    for other in ("file_id", "document_metadata"):
                        body.pop(other, None)
                        query.pop(other, None)
                case [[*_], *_] as rows:
                    body[name] = [row(numbers, tenant_id) for numbers in rows]
                case [*numbers]:
                    body[name] = row(numbers, tenant_id)
                case {"shape": [*extents]}:
                    body[name] = ones(extents, body[name]["dtype"], tenant_id)
                case dict(vectors):
                    # A map by id, of rows that have to be there.
                    numbers = next((one for one in vectors.values() if isinstance(one, list)), [])
                    body[name] = {"filled_0": row(numbers, tenant_id)}
        case.body = body
    else:
        # Without a JSON body what is required has to be a parameter.
        for name in struct.NEEDED:
            query.setdefault(name, TENANT if name == "tenant_id" else ["a"])
        if struct.ONE_NEEDED and not struct.VECTORS and not set(query) & set(struct.ONE_OF):
            query[struct.ONE_OF[0]] = "a"
        if case.media_type == NPY and body is not NOT_SET:
            vector = np.ones(dimension(query["tenant_id"]), dtype=np.float32)
            case.body = npy(vector[None] if "embeddings" in field_types(struct) else vector)
    case.query = query
    tenant_id = {**query, **(body if isinstance(body, dict) else {})}.get("tenant_id")
    for fields in (query, body):
        if isinstance(fields, dict) and fields.get("embeddings_dimension") is not None:
            fields["embeddings_dimension"] = dimension(tenant_id)
    if "tenant" in operation.traits and (not struct.VECTORS or "one source" in operation.traits):
        fill({**query, **(body if isinstance(body, dict) else {})})
