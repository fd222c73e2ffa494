"""The service that this pipeline brings to production: it says which version it is."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def answer(version):
    return f"web {version}\n".encode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = answer(os.environ.get("VERSION", ""))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Handler).serve_forever()
