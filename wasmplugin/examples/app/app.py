"""The app of all examples: a web service that says which version it is.

Answers 200 with its name and version, such as `web v1`, and the version as header `x-version`. Where
NEXT names a service, it calls that with the same request headers and appends its answer, as
`web v1 -> orders v2`. /headers answers with the request's headers. Only Python's own library is used.

Environment: NAME and VERSION, what it says; ERRORS, the share of requests that are answered 500,
0 to 1; DELAY, the milliseconds that every answer takes; NEXT, the URL of the next service; POD_IP
and PORT, where it listens.
"""

import os
import random
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NAME = os.environ.get("NAME", "web")
VERSION = os.environ.get("VERSION", "")
ERRORS = float(os.environ.get("ERRORS", "0"))
DELAY = float(os.environ.get("DELAY", "0")) / 1000
NEXT = os.environ.get("NEXT", "")
# What belongs to one connection, and not to the next one.
OF_THE_CONNECTION = {"host", "connection", "content-length", "transfer-encoding", "accept-encoding"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    # One packet an answer: without it, the second half of one waits for the first's receipt.
    wbufsize = -1

    def do_GET(self):
        time.sleep(DELAY)
        if self.path == "/healthz":
            return self.answer(200, "ok")
        if random.random() < ERRORS:
            return self.answer(500, f"{NAME} {VERSION} fails")
        if self.path == "/headers":
            return self.answer(200, "\n".join(f"{name}: {value}" for name, value in self.headers.items()))
        text = f"{NAME} {VERSION}".strip()
        if NEXT:
            status, said = self.call_next()
            return self.answer(status, f"{text} -> {said}")
        return self.answer(200, text)

    do_POST = do_HEAD = do_GET

    def call_next(self):
        passed_on = {n: v for n, v in self.headers.items() if n.lower() not in OF_THE_CONNECTION}
        request = urllib.request.Request(NEXT, headers=passed_on)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read(4096).decode().strip()
        except urllib.error.HTTPError as error:
            return error.code, f"status {error.code}"
        except OSError as error:
            return 502, str(error)

    def leave_body_out(self):
        """Reads what is sent with the request; where that is too much, the connection ends after the answer."""
        length = self.headers.get("content-length") or "0"
        if self.headers.get("transfer-encoding") or not length.isdecimal() or len(length) > 6:
            self.close_connection = True
        else:
            self.rfile.read(int(length))

    def answer(self, status, text):
        self.leave_body_out()
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-version", VERSION)
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    # How many connections may wait to be taken; Python's own default is 5.
    request_queue_size = 128


if __name__ == "__main__":
    address = (os.environ.get("POD_IP", ""), int(os.environ.get("PORT", "8080")))
    Server(address, Handler).serve_forever()
