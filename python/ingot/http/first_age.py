"""The endpoints of the first age, whose requests or answers had shapes of their own; the service they ask is the same.

A thin layer: a request is read into its own struct, becomes a call of today, and the outcome its own answer.
"""

import orjson
from aiohttp import web

from ingot.errors import MissingField, SubTenantNotFound, WrongType
from ingot.http import answers
from ingot.http.exchange import Exchange
from ingot.http.intake import Intake
from ingot.http.routes import Routes
from ingot.schemas.checks import check_query, check_tenant
from ingot.schemas.first_age import (
    FirstChunksRequest,
    FirstSearchRequest,
    FirstStatsRequest,
    FirstTenantRequest,
    FirstUpdateRequest,
    check_first_chunks,
    check_first_search,
    check_first_stats,
    check_update,
)
from ingot.schemas.parameters import DEFAULT_SUB_TENANT
from ingot.schemas.requests import CreateRequest
from ingot.schemas.tenant_checks import check_create

__all__ = ["FirstAge"]


class FirstAge(Routes):
    """The handlers of today, and those of the first age."""

    async def first_insert(self, x: Exchange) -> web.StreamResponse:
        """POST /upload/upload_embeddings, which has the shapes of today."""
        return await self.insert(x)

    async def first_update(self, x: Exchange) -> web.StreamResponse:
        """PATCH /upload/update_embeddings."""
        with Intake(self._gate, x, ("json",)) as intake:
            early, parameters = self._early(x, FirstUpdateRequest)
            request, body = await self._with_body(x, intake, "insert", early, parameters)
            update = check_update(request, None if body.rows is None else body.rows.shape[0])
            assert body.rows is not None
            file_id = (await self._service.update(*update, body.rows)).file_id
        x.rows = len(update.chunk_ids)
        return _answered(
            x,
            {
                "success": True,
                "message": "Embeddings updated successfully.",
                "file_id": file_id,
                "batch_id": file_id,
                "chunk_ids": update.chunk_ids,
                "updated_count": len(update.chunk_ids),
            },
        )

    async def first_search(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/search."""
        with Intake(self._gate, x, ("json", "npy")) as intake:
            early, parameters = self._early(x, FirstSearchRequest)
            request, body = await self._with_body(x, intake, "search", early, parameters)
            if intake.format == "json":
                given = bytes(request.embeddings)
                if given in (b"", b"null"):
                    raise MissingField("`embeddings` is missing: send one vector", field="embeddings")
                check_query("embeddings", given, None if body.rows is None else body.rows.shape[0])
            elif not body.one_dimensional:
                raise WrongType("the array has 2 dimensions: send 1, one vector", field="embeddings")
            assert body.rows is not None
            [hits] = await self._service.search(check_first_search(request), body.rows)
        x.rows = len(hits)
        return _answered(
            x,
            {
                "chunk_ids": hits.chunk_ids,
                "scores": hits.scores.tolist(),
                "success": True,
                "message": f"{len(hits)} embeddings found.",
            },
        )

    async def first_get(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/retrieve_by_ids."""
        selection, chunk_ids = check_first_chunks(await self._fields(x, FirstChunksRequest))
        vectors, missing = await self._service.vectors_json(selection)
        asked = len(set(chunk_ids))
        x.rows = asked - len(missing)
        # The text of the vectors is a part of that of the answer.
        rest = orjson.dumps(
            {
                "not_found_chunk_ids": missing,
                "success": True,
                "message": f"{x.rows} of {asked} embeddings found.",
            }
        )
        return answers.parts_response([b'{"embeddings":', *vectors, b",", rest[1:]], x.request_id)

    async def first_delete(self, x: Exchange) -> web.StreamResponse:
        """DELETE /embeddings/delete."""
        selection, chunk_ids = check_first_chunks(await self._fields(x, FirstChunksRequest))
        deleted = await self._service.delete_each(selection)
        x.rows = len(deleted)
        status = dict.fromkeys(chunk_ids, False) | dict.fromkeys(deleted, True)
        return _answered(
            x,
            {
                "status": status,
                "total_deleted": len(deleted),
                "success": True,
                "message": f"{len(deleted)} of {len(status)} embeddings deleted.",
            },
        )

    async def first_create(self, x: Exchange) -> web.StreamResponse:
        """POST /embeddings/create_tenant."""
        request = await self._fields(x, FirstTenantRequest)
        creation = check_create(CreateRequest(tenant_id=request.tenant_id))
        made = await self._service.create_tenant(*creation)
        return _answered(
            x,
            {
                "tenant_id": creation.tenant_id,
                "sub_tenant_id": DEFAULT_SUB_TENANT,
                "success": True,
                "message": answers.creation_message(made=made),
            },
        )

    async def first_stats(self, x: Exchange) -> web.StreamResponse:
        """GET /tenant/stats."""
        tenant_id, sub_tenant_id = check_first_stats(self._parameters(x, FirstStatsRequest))
        stats = await self._service.stats(tenant_id)
        if sub_tenant_id not in stats.sub_tenants:
            raise SubTenantNotFound("no such sub-tenant", field="sub_tenant_id")
        return _answered(
            x,
            {
                "object_count": stats.sub_tenants[sub_tenant_id],
                "tenant_id": tenant_id,
                "vector_dimension": stats.dimension,
                "success": True,
                "message": "Tenant counted.",
            },
        )

    async def first_sub_tenants(self, x: Exchange) -> web.StreamResponse:
        """GET /tenant/sub_tenant_ids."""
        tenant_id = check_tenant(self._parameters(x, FirstTenantRequest))
        names = await self._service.sub_tenants(tenant_id)
        return _answered(
            x,
            {
                "tenant_id": tenant_id,
                "sub_tenant_ids": names,
                "count": len(names),
                "success": True,
                "message": "1 sub-tenant." if len(names) == 1 else f"{len(names)} sub-tenants.",
            },
        )


def _answered(x: Exchange, answer: object) -> web.StreamResponse:
    return answers.json_response(orjson.dumps(answer), x.request_id)
