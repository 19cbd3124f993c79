"""The service as one function from request to response: guard, route, handler, errors, log."""

import asyncio
import difflib
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from ingot.auth.keyring import Keyring
from ingot.errors import IngotError, InternalError, MalformedBody, MethodNotAllowed, NotFound, Overloaded
from ingot.http.access_log import ServerLog
from ingot.http.ages import UNDERSCORES, is_older
from ingot.http.answers import LongResponse, bare_refusal, refusal
from ingot.http.connection import HttpServer, JsonResponse, answer_as_http11, check_framing
from ingot.http.cors import CrossOrigin
from ingot.http.exchange import Exchange
from ingot.http.first_age import FirstAge
from ingot.http.gatekeeper import Gatekeeper
from ingot.http.guard import LoopbackGuard
from ingot.http.intake import ClientGone, IntakeGate, drop
from ingot.http.metrics import Metrics
from ingot.http.monitoring import Monitoring
from ingot.http.needs import check_need, is_open, need_of
from ingot.http.pages import Pages
from ingot.http.playground import FILES
from ingot.http.quota import AnswerBudget, Quotas
from ingot.http.request_id import request_id
from ingot.http.watch import ConnectionWatch
from ingot.service import Service
from ingot.settings import Settings

__all__ = ["App", "table"]

Handler = Callable[[Exchange], Awaitable[web.StreamResponse]]

# The status that the log has for a client that left, which no client ever sees.
_GONE = 499


def table(routes: FirstAge, pages: Pages, monitoring: Monitoring) -> dict[str, dict[str, Handler]]:
    """Path -> method -> handler; `HEAD` works wherever `GET` does."""
    paths: dict[str, dict[str, Handler]] = {
        "/embeddings/insert-raw-embeddings": {"POST": routes.insert},
        "/embeddings/search-raw-embeddings": {"POST": routes.search},
        "/embeddings/filter-raw-embeddings": {"POST": routes.get},
        "/embeddings/delete-raw-embeddings": {"DELETE": routes.delete, "POST": routes.delete},
        "/ingestion/verify-processing": {"POST": routes.status},
        "/tenants/create": {"POST": routes.create_tenant},
        "/tenants/list": {"GET": routes.tenants},
        "/tenants/monitor": {"GET": routes.stats},
        "/tenants/stats": {"GET": routes.stats},
        "/tenants/sub_tenant_ids": {"GET": routes.sub_tenants},
        "/tenants/sources": {"GET": routes.sources},
        "/tenants/delete": {"DELETE": routes.delete_tenant},
        "/tenant/delete_sub_tenant": {"DELETE": routes.delete_sub_tenant},
        "/healthz": {"GET": routes.alive},
        "/readyz": {"GET": routes.ready},
        "/metrics": {"GET": monitoring.metrics},
        "/": {"GET": pages.home},
        "/openapi.json": {"GET": pages.openapi},
        "/docs": {"GET": pages.playground},
        **{f"/docs/{name}": {"GET": pages.asset} for name in FILES},
    }
    paths |= {older: dict(paths[path]) for older, path in UNDERSCORES.items()}
    # Once it knew no single answer.
    paths["/ingestion/verify_processing"] = {"POST": routes.statuses}
    paths |= {
        "/upload/upload_embeddings": {"POST": routes.first_insert},
        "/upload/update_embeddings": {"PATCH": routes.first_update},
        "/upload/verify_processing": {"POST": routes.status},
        "/embeddings/search": {"POST": routes.first_search},
        "/embeddings/retrieve_by_ids": {"POST": routes.first_get},
        "/embeddings/delete": {"DELETE": routes.first_delete},
        "/embeddings/create_tenant": {"POST": routes.first_create},
        "/tenant/stats": {"GET": routes.first_stats},
        "/tenant/sub_tenant_ids": {"GET": routes.first_sub_tenants},
    }
    for path, methods in paths.items():
        if not is_open(path) and need_of(path) is None:
            raise InternalError(f"nothing says what a key needs for {path}: see `ingot.http.needs`")
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
    return paths


class App:
    """Answers requests."""

    def __init__(
        self,
        settings: Settings,
        service: Service,
        keyring: Keyring,
        log: ServerLog,
        version: str = "unknown",
    ) -> None:
        self._settings = settings
        self._service = service
        self._log = log
        guard = None if settings.insecure else LoopbackGuard(settings.cors_origins)
        self._gatekeeper = Gatekeeper(keyring, guard)
        self._cross_origin = CrossOrigin(settings.cors_origins) if settings.cors_origins else None
        pages = Pages(version, settings.body_limit)
        self._quotas = Quotas(settings)
        self._answers = AnswerBudget(settings.bytes_in_flight)
        gate = IntakeGate(settings, self._quotas)
        monitoring = Monitoring(service, gate, self._answers, version)
        self._paths = pages.paths = table(FirstAge(service, gate, log), pages, monitoring)
        self._metrics = monitoring.counts = Metrics(
            f"{method} {path}" for path, methods in self._paths.items() for method in methods
        )
        watch = ConnectionWatch(settings, log.event)
        self._server = monitoring.server = HttpServer(
            self._answer, self._refuse_broken, self._no_room, watch, keep_alive=settings.keep_alive
        )

    def server(self) -> HttpServer:
        """The server whose connections this app answers."""
        return self._server

    def look_after(self, now: float) -> None:
        """What is done about once a second, with the loop's time."""
        self._server.judge_connections(now)
        if self._answers.left_memory:
            self._answers.left_memory = False
            self._service.give_back_memory()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        x = Exchange(request, time.perf_counter())
        response: web.StreamResponse
        try:
            response = await self._handler(x)(x)
            if isinstance(response, (JsonResponse, LongResponse)):
                response.held = self._answers.hold(response.size)
        except IngotError as error:
            response = self._refuse(x, error)
        except ClientGone:
            self._note(x, _GONE)
            # Nobody reads it. An exception would be kept by its own traceback, and the body with it, until the
            # garbage collector comes by.
            response = web.Response(status=_GONE)
            response.force_close()
            return response
        except asyncio.CancelledError:
            self._note(x, _GONE)
            raise
        # Whatever it is, the client gets an answer and the log the rest.
        except Exception as error:  # noqa: BLE001
            response = self._refuse(x, _bug(error))
        self._note(x, response.status)
        if x.last or self._service.draining:
            response.force_close()
        if self._cross_origin is not None:
            self._cross_origin.mark(request, response)
        if not request.content.is_eof():
            await self._finish_early(x, response)
        return response

    def _note(self, x: Exchange, status: int) -> None:
        seconds = time.perf_counter() - x.started
        self._log.request(x, status, seconds)
        self._metrics.request(x, status, seconds)

    def _handler(self, x: Exchange) -> Handler:
        request = x.request
        if request.version[0] != 1:
            answer_as_http11(request)
            raise MalformedBody("this server speaks HTTP/1.1 and HTTP/1.0")
        x.last = True
        x.last = not check_framing(request)
        path = request.rel_url.raw_path
        methods = self._paths.get(path)
        if methods is None and "%" in path:
            path = request.rel_url.path
            methods = self._paths.get(path)
        cross_origin = self._cross_origin
        preflight = cross_origin is not None and cross_origin.is_preflight(request)
        if methods is not None:
            x.route = f"{request.method} {path}"
            x.older = is_older(path)
        public = preflight or is_open(path)
        x.caller = self._gatekeeper.admit(request.headers, public, x.started)
        if not public:
            self._quotas.take_request(x.caller)
        if cross_origin is not None and preflight:
            return cross_origin.preflight
        check_need(path, x.caller)
        if methods is None:
            near = difflib.get_close_matches(path[:200], self._paths, n=1, cutoff=0.8)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise NotFound(f"no such path: {_shown(path)}{hint}")
        handler = methods.get(request.method)
        if handler is None:
            allow = ", ".join(sorted(methods))
            raise MethodNotAllowed(f"{path} takes {allow}, not {request.method}", allow=allow)
        return handler

    def _refuse(self, x: Exchange, error: IngotError) -> web.Response:
        if error.public is not None:
            self._log.failure(x.request_id, x.route, error)
        self._metrics.refusal(x.route, error.error_code)
        return refusal(error, x.request_id)

    def _no_room(self) -> bytes:
        return bare_refusal(
            Overloaded("too many connections are open: use one for several requests, or try again shortly"),
            request_id(None),
        )

    def _refuse_broken(self, request: web.BaseRequest, error: IngotError) -> web.StreamResponse:
        x = Exchange(request, time.perf_counter())
        response = self._refuse(x, error)
        self._note(x, response.status)
        return response

    async def _finish_early(self, x: Exchange, response: web.StreamResponse) -> None:
        """Sends an answer that is there before the body is, and drops what still arrives of it."""
        if not x.continued or response.status == 408:
            # A client that was not told to go on may send its body or its next request: nobody can tell which.
            response.force_close()
        await response.prepare(x.request)
        await response.write_eof()
        if response.status != 408 and not await drop(x, self._settings):
            response.force_close()


def _bug(error: Exception) -> InternalError:
    bug = InternalError(f"{type(error).__name__}: {error}")
    bug.__cause__ = error
    return bug


def _shown(path: str) -> str:
    return path[:200].encode("ascii", "backslashreplace").decode()
