"""The endpoint that monitoring systems read."""

from aiohttp import web

from ingot.http.connection import HttpServer
from ingot.http.exchange import Exchange
from ingot.http.intake import IntakeGate
from ingot.http.metrics import CONTENT_TYPE, Metrics, exposition
from ingot.http.quota import AnswerBudget
from ingot.service import Service

__all__ = ["Monitoring"]


class Monitoring:
    """The handler of `/metrics`."""

    def __init__(self, service: Service, gate: IntakeGate, answers: AnswerBudget, version: str) -> None:
        self._service = service
        self._gate = gate
        self._answers = answers
        self._version = version
        #: What requests were counted; set when the routes are known.
        self.counts = Metrics(())
        self.server: HttpServer | None = None

    async def metrics(self, x: Exchange) -> web.Response:
        """GET /metrics."""
        held = {
            "ingot_body_bytes_in_flight": self._gate.in_flight,
            "ingot_answer_bytes_in_flight": self._answers.held,
        }
        text = await exposition(self.counts, self._service, held, self.server, self._version)
        headers = {"X-Request-Id": x.request_id, "Server": "ingot", "Content-Type": CONTENT_TYPE}
        return web.Response(body=text, headers=headers)
