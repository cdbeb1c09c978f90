"""What is put before the page of the library; what it does is tested in a browser."""

from urllib.request import ProxyHandler, Request, build_opener

from viser import ViserServer

from semantic_field_ros.viewer.serving import served_through
from semantic_field_ros.viewer.software import SCRIPT, cheaper_in_software


def test_the_page_begins_with_the_script_and_is_whole() -> None:
    with served_through(cheaper_in_software):
        server = ViserServer("127.0.0.1", 8441, verbose=False)
    request = Request(f"http://127.0.0.1:{server.get_port()}", headers={"Accept-Encoding": "gzip"})
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=20) as answer:
            page = answer.read()
    finally:
        server.stop()
    assert page.count(SCRIPT) == 1
    assert page.index(b"<head>" + SCRIPT) < page.index(b"<title>")
    assert page.rstrip().endswith(b"</html>")
