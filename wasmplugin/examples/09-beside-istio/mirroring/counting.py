"""A v2 that counts the copies of requests it gets, and answers /copies with their number.

A request of a user of v1 that comes to v2 is a copy: the split's header says whose it is.
"""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

copies = count()
seen = [0]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        if self.headers.get("x-sluice-web") == "v1":
            seen[0] = next(copies) + 1
        body = b"web v2\n"
        if self.path == "/copies":
            body = f"{seen[0]} copies\n".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-version", "v2")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    address = (os.environ.get("POD_IP", ""), int(os.environ.get("PORT", "8080")))
    ThreadingHTTPServer(address, Handler).serve_forever()
