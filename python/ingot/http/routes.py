"""The endpoints: from an exchange to its answer, each read top to bottom."""

import time
from typing import TypeVar

import orjson
from aiohttp import web

from ingot.errors import IngotError, NotFound, NotOffered, StorageError, WrongType
from ingot.http import answers
from ingot.http.access_log import ServerLog
from ingot.http.exchange import Exchange
from ingot.http.intake import Intake, IntakeGate, has_body
from ingot.schemas import checks
from ingot.schemas.envelope import read_envelope
from ingot.schemas.parameters import merge, read_parameters
from ingot.schemas.requests import (
    DeleteRequest,
    GetRequest,
    InsertRequest,
    Request,
    SearchRequest,
    StatsRequest,
    StatusRequest,
)
from ingot.service import Service

__all__ = ["Routes"]

R = TypeVar("R", bound=Request)

# A probe of the disk is good for this long: readiness is asked often, and by anyone.
_PROBE_SECONDS = 1.0


class Routes:
    """The handlers of all endpoints."""

    def __init__(self, service: Service, gate: IntakeGate, log: ServerLog) -> None:
        self._service = service
        self._gate = gate
        self._log = log
        self._probed: tuple[float, int | IngotError] | None = None

    async def insert(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/insert-raw-embeddings."""
        if "Idempotency-Key" in x.request.headers:
            raise NotOffered(
                "`Idempotency-Key` is not offered by this server yet: send a `file_id`, then a repeated upload is one",
                field="Idempotency-Key",
            )
        with Intake(self._gate, x, ("json", "npy")) as intake:
            early, parameters = self._early(x, InsertRequest)
            if intake.format == "npy":
                checks.check_insert(early)
            self._service.admit()
            body = await intake.read(self._service, "insert")
            request = early
            if intake.format == "json":
                request = merge(read_envelope(InsertRequest, body.envelope), parameters)
                x.name_tenant(request.tenant_id)
            rows = body.rows
            if intake.format == "json":
                checks.check_matrix(request.embeddings, None if rows is None else rows.shape[0])
            elif body.one_dimensional:
                raise WrongType("the array has 1 dimension: send 2, rows x columns", field="embeddings")
            assert rows is not None
            insertion = checks.check_insert(request)
            inserted = await self._service.insert(insertion, rows)
        x.rows = len(inserted)
        return answers.json_response(answers.insert_answer(inserted, insertion), x.request_id)

    async def search(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/search-raw-embeddings."""
        with Intake(self._gate, x, ("json", "npy")) as intake:
            early, parameters = self._early(x, SearchRequest)
            if intake.format == "npy":
                checks.check_search(early)
            self._service.admit()
            body = await intake.read(self._service, "search")
            request = early
            if intake.format == "json":
                request = merge(read_envelope(SearchRequest, body.envelope), parameters)
                x.name_tenant(request.tenant_id)
            queries = body.rows
            if intake.format == "json":
                batch = checks.check_queries(request, None if queries is None else queries.shape[0])
            else:
                batch = not body.one_dimensional
            assert queries is not None
            search = checks.check_search(request)
            if batch:
                checks.check_batch(search, queries.shape)
            if search.base64 or not search.with_embeddings:
                parts, x.rows = await self._service.search_json(search, queries, batch=batch)
                return answers.parts_response(parts, x.request_id)
            found = await self._service.search(search, queries)
        x.rows = sum(map(len, found))
        if batch:
            parts = await answers.batch_answer(found)
        else:
            parts = await answers.hits_answer(found[0], scored=True)
        return answers.parts_response(parts, x.request_id)

    async def get(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/filter-raw-embeddings."""
        request = await self._fields(x, GetRequest)
        selection, limit, with_embeddings, base64 = checks.check_get(request)
        hits = await self._service.get(selection, limit, with_embeddings, base64)
        x.rows = len(hits)
        return answers.parts_response(await answers.hits_answer(hits, scored=False), x.request_id)

    async def delete(self, x: Exchange) -> web.StreamResponse:
        """DELETE and POST /embeddings/delete-raw-embeddings."""
        request = await self._fields(x, DeleteRequest)
        x.rows = await self._service.delete(checks.check_delete(request))
        return answers.json_response(answers.delete_answer(x.rows), x.request_id)

    async def status(self, x: Exchange) -> web.StreamResponse:
        """POST /ingestion/verify-processing."""
        request = await self._fields(x, StatusRequest)
        tenant_id, sub_tenant_id, ids, batch = checks.check_status(request)
        statuses = await self._service.status(tenant_id, sub_tenant_id, ids)
        x.rows = len(ids)
        items = [answers.status_answer(*pair) for pair in zip(ids, statuses, strict=True)]
        if batch:
            return answers.json_response(orjson.dumps({"statuses": items}), x.request_id)
        if statuses[0] is None:
            raise NotFound("no such source: it was never uploaded here, or is deleted", field="file_id")
        return answers.json_response(orjson.dumps(items[0]), x.request_id)

    async def stats(self, x: Exchange) -> web.StreamResponse:
        """GET /tenants/monitor."""
        request = merge(StatsRequest(), read_parameters(StatsRequest, x.query))
        checks.check_present(request)
        tenant_id = checks.check_tenant(request)
        x.name_tenant(tenant_id)
        self._service.admit()
        stats = await self._service.stats(tenant_id)
        return answers.json_response(answers.stats_answer(stats), x.request_id)

    async def alive(self, x: Exchange) -> web.StreamResponse:
        """GET /healthz."""
        return answers.json_response(b'{"status":"ok"}', x.request_id)

    async def ready(self, x: Exchange) -> web.StreamResponse:
        """GET /readyz."""
        self._service.admit()
        outcome = await self._probe(x)
        if isinstance(outcome, IngotError):
            # Not ready is 503, whatever is wrong with the disk.
            response = answers.refusal(outcome, x.request_id)
            response.set_status(503)
            response.headers["Retry-After"] = "5"
            return response
        if outcome:
            body = orjson.dumps({"status": "degraded", "refusing_tenants": outcome})
            return answers.json_response(body, x.request_id)
        return answers.json_response(b'{"status":"ok"}', x.request_id)

    async def _probe(self, x: Exchange) -> int | IngotError:
        now = time.monotonic()
        if self._probed is None or now - self._probed[0] > _PROBE_SECONDS:
            outcome: int | IngotError
            try:
                outcome = await self._service.probe()
            except StorageError as error:
                outcome = error
                self._log.failure(x.request_id, x.route, error)
            self._probed = (now, outcome)
        return self._probed[1]

    def _early(self, x: Exchange, struct: type[R]) -> tuple[R, dict[str, object]]:
        """The request as far as its parameters tell, judged before the body is read."""
        parameters = read_parameters(struct, x.query, but=struct.VECTORS)
        request = merge(struct(), parameters)
        if parameters:
            checks.check_present(request)
            x.name_tenant(request.tenant_id)
        return request, parameters

    async def _fields(self, x: Exchange, struct: type[R]) -> R:
        """A request without vectors: parameters, and a JSON body where there is one."""
        early, parameters = self._early(x, struct)
        self._service.admit()
        if not has_body(x.request):
            return early
        with Intake(self._gate, x, ("json",)) as intake:
            body = await intake.read(self._service, "search")
        request = merge(read_envelope(struct, body.envelope), parameters)
        x.name_tenant(request.tenant_id)
        return request
