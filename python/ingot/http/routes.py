"""The endpoints: from an exchange to its answer, each read top to bottom."""

import time
from collections.abc import Mapping
from typing import Any, TypeVar

import orjson
from aiohttp import web

from ingot.errors import IngotError, NotFound, StorageError, WrongType
from ingot.http import answers
from ingot.http.access_log import ServerLog
from ingot.http.exchange import Exchange
from ingot.http.intake import Intake, IntakeGate, has_body
from ingot.schemas import checks, idempotency
from ingot.schemas.documents import is_document_form, read_documents
from ingot.schemas.envelope import read_envelope
from ingot.schemas.fields import forgiving
from ingot.schemas.parameters import merge, read_parameters
from ingot.schemas.requests import (
    CreateRequest,
    DeleteRequest,
    GetRequest,
    InsertRequest,
    ListRequest,
    Request,
    SearchRequest,
    SourcesRequest,
    StatsRequest,
    StatusRequest,
    SubTenantRequest,
    TenantRequest,
)
from ingot.schemas.tenant_checks import check_create, check_list, check_sources, check_sub_tenant
from ingot.service import Body, Purpose, Service

__all__ = ["Routes"]

R = TypeVar("R", bound=Request | StatsRequest)
P = TypeVar("P")

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
        key = idempotency.check_key(x.request.headers.getall(idempotency.HEADER, ()))
        with Intake(self._gate, x, ("json", "npy")) as intake:
            early, parameters = self._early(x, InsertRequest)
            if intake.format == "npy":
                checks.check_insert(early, key)
            request, body = await self._with_body(x, intake, "insert", early, parameters)
            rows, documents = body.rows, None
            if intake.format == "json":
                count, text = None if rows is None else rows.shape[0], bytes(request.embeddings)
                if is_document_form(text):
                    documents = read_documents(text, count, strict=not x.older)
                else:
                    checks.check_matrix(request.embeddings, count)
            elif body.one_dimensional:
                raise WrongType("the array has 1 dimension: send 2, rows x columns", field="embeddings")
            assert rows is not None
            insertion = checks.check_insert(request, key, documents)
            inserted = await self._service.insert(insertion, rows)
        x.rows = len(inserted)
        return answers.json_response(answers.insert_answer(inserted, insertion), x.request_id)

    async def search(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/search-raw-embeddings."""
        with Intake(self._gate, x, ("json", "npy")) as intake:
            early, parameters = self._early(x, SearchRequest)
            if intake.format == "npy":
                checks.check_search(early)
            request, body = await self._with_body(x, intake, "search", early, parameters)
            queries = body.rows
            if intake.format == "json":
                batch = checks.check_queries(request, None if queries is None else queries.shape[0])
            else:
                batch = not body.one_dimensional
            assert queries is not None
            search = checks.check_search(request)
            if batch:
                checks.check_batch(search, queries.shape)
            parts, x.rows = await self._service.search_json(
                search, queries, batch=batch, connection=id(x.request.transport)
            )
        return answers.parts_response(parts, x.request_id)

    async def get(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/filter-raw-embeddings."""
        request = await self._fields(x, GetRequest)
        parts, x.rows, next_cursor = await self._service.page_json(*checks.check_get(request))
        return answers.page_response(parts, next_cursor, x.request_id)

    async def delete(self, x: Exchange) -> web.StreamResponse:
        """DELETE and POST /embeddings/delete-raw-embeddings."""
        request = await self._fields(x, DeleteRequest)
        x.rows = await self._service.delete(checks.check_delete(request))
        return answers.json_response(answers.delete_answer(x.rows), x.request_id)

    async def status(self, x: Exchange) -> web.StreamResponse:
        """POST /ingestion/verify-processing."""
        items, batch = await self._statuses(x)
        if batch:
            return answers.json_response(orjson.dumps({"statuses": items}), x.request_id)
        if not items[0]["success"]:
            raise NotFound("no such source: it was never uploaded here, or is deleted", field="file_id")
        return answers.json_response(orjson.dumps(items[0]), x.request_id)

    async def statuses(self, x: Exchange) -> web.StreamResponse:
        """POST /ingestion/verify_processing, which knew no single answer."""
        items, _ = await self._statuses(x)
        return answers.json_response(orjson.dumps({"statuses": items}), x.request_id)

    async def _statuses(self, x: Exchange) -> tuple[list[Mapping[str, Any]], bool]:
        """How far each source is, and whether several were asked about."""
        request = await self._fields(x, StatusRequest)
        tenant_id, sub_tenant_id, ids, batch = checks.check_status(request)
        statuses = await self._service.status(tenant_id, sub_tenant_id, ids)
        x.rows = len(ids)
        return [answers.status_answer(*pair) for pair in zip(ids, statuses, strict=True)], batch

    async def stats(self, x: Exchange) -> web.StreamResponse:
        """GET /tenants/monitor, GET /tenants/stats."""
        tenant_id = checks.check_tenant(self._parameters(x, StatsRequest))
        stats = await self._service.stats(tenant_id)
        return answers.json_response(answers.stats_answer(stats), x.request_id)

    async def create_tenant(self, x: Exchange) -> web.StreamResponse:
        """POST /tenants/create."""
        creation = check_create(await self._fields(x, CreateRequest))
        made = await self._service.create_tenant(*creation)
        return answers.json_response(answers.create_answer(creation.tenant_id, made=made), x.request_id)

    async def delete_tenant(self, x: Exchange) -> web.StreamResponse:
        """DELETE /tenants/delete."""
        await self._service.delete_tenant(checks.check_tenant(self._parameters(x, TenantRequest)))
        return answers.json_response(answers.done_answer("Tenant deleted."), x.request_id)

    async def delete_sub_tenant(self, x: Exchange) -> web.StreamResponse:
        """DELETE /tenant/delete_sub_tenant."""
        await self._service.delete_sub_tenant(*check_sub_tenant(self._parameters(x, SubTenantRequest)))
        return answers.json_response(answers.done_answer("Sub-tenant deleted."), x.request_id)

    async def sub_tenants(self, x: Exchange) -> web.StreamResponse:
        """GET /tenants/sub_tenant_ids."""
        tenant_id = checks.check_tenant(self._parameters(x, TenantRequest))
        names = await self._service.sub_tenants(tenant_id)
        return answers.json_response(answers.sub_tenants_answer(names), x.request_id)

    async def sources(self, x: Exchange) -> web.StreamResponse:
        """GET /tenants/sources."""
        asked = check_sources(self._parameters(x, SourcesRequest))
        sources, next_cursor = await self._service.sources(*asked)
        return answers.page_response([answers.sources_answer(sources)], next_cursor, x.request_id)

    async def tenants(self, x: Exchange) -> web.StreamResponse:
        """GET /tenants/list: of the tenants that the caller has rights on."""
        limit, cursor = check_list(merge(ListRequest(), read_parameters(ListRequest, x.query)))
        self._service.admit()
        tenant_ids, next_cursor = await self._service.tenants(x.caller.tenants, limit, cursor)
        body = orjson.dumps({"tenant_ids": tenant_ids})
        return answers.page_response([body], next_cursor, x.request_id)

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

    def _parameters(self, x: Exchange, struct: type[P]) -> P:
        """A request that has no body: its tenant is known when this returns, and the caller has rights on it."""
        request = merge(struct(), read_parameters(struct, x.query))
        checks.check_present(request)
        x.name_tenant(checks.check_tenant(request))
        self._service.admit()
        return request

    def _early(self, x: Exchange, struct: type[R]) -> tuple[R, dict[str, object]]:
        """The request as far as its parameters tell, judged before the body is read."""
        if x.older:
            struct = forgiving(struct)
        parameters = read_parameters(struct, x.query, but=struct.VECTORS)
        request = merge(struct(), parameters)
        if parameters:
            checks.check_present(request)
            self._service.check_filter(getattr(request, "filter_expr", None))
            x.name_tenant(request.tenant_id)
        return request, parameters

    async def _with_body(
        self, x: Exchange, intake: Intake, purpose: Purpose, early: R, parameters: dict[str, object]
    ) -> tuple[R, Body]:
        """The request, whole as far as fields go, and the body that was read for it."""
        self._service.admit()
        body = await intake.read(self._service, purpose)
        if intake.format != "json":
            return early, body
        request = merge(read_envelope(type(early), body.envelope), parameters)
        x.name_tenant(request.tenant_id)
        return request, body

    async def _fields(self, x: Exchange, struct: type[R]) -> R:
        """A request without vectors: parameters, and a JSON body where there is one."""
        early, parameters = self._early(x, struct)
        self._service.admit()
        if not has_body(x.request):
            return early
        with Intake(self._gate, x, ("json",)) as intake:
            body = await intake.read(self._service, "search")
        request = merge(read_envelope(type(early), body.envelope), parameters)
        x.name_tenant(request.tenant_id)
        return request
