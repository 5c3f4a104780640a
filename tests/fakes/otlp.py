"""A collector of OpenTelemetry: takes OTLP over HTTP and keeps what it was told."""

import asyncio
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class Collector:
    """`bodies` are the messages as they came over the wire, uncompressed."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0

    def take(self, path: str, body: bytes) -> bytes:
        self.bodies.append(body)
        if path == "/v1/traces":
            for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [span for scope in sent.scope_spans for span in scope.spans]
            return ExportTraceServiceResponse().SerializeToString()
        for told in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            self.metrics |= {one.name: one for scope in told.scope_metrics for one in scope.metrics}
        return ExportMetricsServiceResponse().SerializeToString()

    async def named(self, *names: str) -> dict[str, Any]:
        """The spans by name, as soon as there is one of each of these names."""
        async with asyncio.timeout(30):
            while not set(names) <= (found := {span.name: span for span in self.spans}).keys():
                await asyncio.sleep(0.05)
        return found


def facts(span: Any) -> dict[str, Any]:
    """A span's attributes."""
    return {
        one.key: getattr(one.value, one.value.WhichOneof("value") or "") for one in span.attributes
    }


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            collector.connections += 1
            super().setup()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = collector.take(self.path, body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
