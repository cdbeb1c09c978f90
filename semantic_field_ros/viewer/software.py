"""Makes pictures cheaper in browsers that draw on the processor, which may be the robot's own."""

from __future__ import annotations

from collections.abc import Awaitable

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from semantic_field_ros.viewer.serving import Process

#: Runs before the page's own scripts. Smoothed edges (multisampling) are half of what a picture of
#: a cloud costs without a GPU, and squares of single points look no worse without.
SCRIPT = b"""<script>
(() => {
  const getContext = HTMLCanvasElement.prototype.getContext;
  const probe = getContext.call(document.createElement("canvas"), "webgl2");
  const told = probe?.getExtension("WEBGL_debug_renderer_info");
  const renderer = told ? probe.getParameter(told.UNMASKED_RENDERER_WEBGL) : "";
  probe?.getExtension("WEBGL_lose_context")?.loseContext();
  if (!/SwiftShader|llvmpipe|softpipe|Basic Render/i.test(renderer)) return;
  HTMLCanvasElement.prototype.getContext = function (kind, wanted) {
    return getContext.call(this, kind, { ...wanted, antialias: false });
  };
})();
</script>"""
HEAD = b"<head>"


def cheaper_in_software(process: Process) -> Process:
    """Answers as `process` does, but pages begin with SCRIPT."""

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Awaitable[Response | None] | Response | None:
        if request.headers.get("Upgrade") != "websocket":
            request.headers.pop("Accept-Encoding", None)  # what is packed cannot be added to
        answer = process(connection, request)
        if isinstance(answer, Response) and answer.headers.get("Content-Type", "").startswith(
            "text/html"
        ):
            answer.body = answer.body.replace(HEAD, HEAD + SCRIPT, 1)
            del answer.headers["Content-Length"]
            answer.headers["Content-Length"] = str(len(answer.body))
        return answer

    return process_request
