"""One request, and what is found out about it for its answer and its line in the log."""

from aiohttp import web

from ingot.auth.caller import NOBODY, Caller
from ingot.http.request_id import request_id

__all__ = ["Exchange"]


class Exchange:
    """One request on its way through the server."""

    __slots__ = (
        "caller",
        "continued",
        "last",
        "older",
        "query",
        "received",
        "request",
        "request_id",
        "route",
        "rows",
        "started",
        "tenant_id",
    )

    def __init__(self, request: web.BaseRequest, started: float) -> None:
        self.request = request
        self.request_id = request_id(request.headers.get("X-Request-Id"))
        self.started = started
        #: The route's name for the log; the path itself is the client's text.
        self.route = "-"
        #: Whether the path is older than hyphens: unknown fields and parameters are ignored then.
        self.older = False
        self.tenant_id: str | None = None
        #: Who asks; known before the route's handler is.
        self.caller: Caller = NOBODY
        self.rows = 0
        #: Bytes of the body that arrived.
        self.received = 0
        #: Whether no other request may follow on the connection.
        self.last = False
        self.query = request.rel_url.raw_query_string
        #: Whether a client that asked may send its body.
        self.continued = "Expect" not in request.headers

    def name_tenant(self, tenant_id: str | None) -> None:
        """Notes whose data this is about, as soon as it is known; raises `Forbidden` where the caller has no rights.

        Before anything of the tenant is looked up: whether it exists is not for everyone to know.
        """
        self.tenant_id = tenant_id
        if tenant_id is not None:
            self.caller.check_tenant(tenant_id)
