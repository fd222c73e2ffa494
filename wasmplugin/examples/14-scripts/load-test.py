#!/usr/bin/env python3
"""Compares a host that has a split with one that has none, through the same gateway, under load.

Both get the same requests in turns, on the same connections, so that whatever else the machine does
hits both. Prints requests, failures and latency percentiles of either, and by version; ends with 1
if a request failed, or if the split's P99 is slower than --most-added allows. Needs Python 3.9 or
newer, and no library.
"""

import argparse
import http.client
import random
import sys
import threading
import time
import urllib.parse


def number(least, most):
    def read(text):
        value = float(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text}; {least:g} to {most:g} is accepted")
        return value

    return read


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add("url", help="the gateway, as http://ADDRESS:PORT")
    add("--host", default="shop.example.com", help="the host with the split [%(default)s]")
    add("--baseline", default="baseline.example.com", help="the one without [%(default)s]")
    add("--path", default="/", help="what is asked for [%(default)s]")
    add("--seconds", type=number(1, 3600), default=10, help="how long [%(default)s]")
    rate = "requests a second, of both together [%(default)s]"
    add("--rate", type=number(1, 20000), default=200, help=rate)
    add("--connections", type=number(1, 256), default=8, help="how many [%(default)s]")
    add("--users", type=number(1, 1e6), default=500, help="users, by a cookie uid [%(default)s]")
    most = "how much slower the split's P99 may be"
    add("--most-added", type=number(0, 60000), metavar="MS", help=most)
    given = parser.parse_args()
    url = urllib.parse.urlsplit(given.url)
    try:
        port = url.port or 80
    except ValueError:
        port = None
    if url.scheme != "http" or not url.hostname or not port:
        parser.error(f"the URL is {given.url!r}; http://ADDRESS or http://ADDRESS:PORT is accepted")
    for text in [given.host, given.baseline, given.path]:
        if not text.isascii() or not text.isprintable() or " " in text:
            parser.error(f"{text!r} has a character that no host and no path has")
    given.address = (url.hostname, port)
    return given


class Answers:
    """What came of the requests, by what was asked."""

    def __init__(self):
        self.lock = threading.Lock()
        self.milliseconds = {}
        self.failed = {}

    def add(self, names, milliseconds, has_failed):
        with self.lock:
            for name in names:
                self.milliseconds.setdefault(name, []).append(milliseconds)
                self.failed[name] = self.failed.get(name, 0) + has_failed


def ask(connection, host, given, draw):
    """One request; its version, milliseconds, and whether it failed."""
    headers = {"host": host, "cookie": f"uid=user-{draw.randrange(int(given.users))}"}
    began = time.perf_counter()
    try:
        connection.request("GET", given.path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        has_failed, version = not 200 <= answer.status < 300, answer.getheader("x-version", "-")
    except (OSError, http.client.HTTPException):
        connection.close()
        has_failed, version = True, "-"
    return version, (time.perf_counter() - began) * 1000, has_failed


def visit(number, given, answers, ends):
    draw = random.Random(number)
    connection = http.client.HTTPConnection(*given.address, timeout=20)
    pause = int(given.connections) / given.rate
    due = time.monotonic() + pause * draw.random()
    turn = number
    while due < ends:
        time.sleep(max(0, due - time.monotonic()))
        # Where the machine or the service is too slow for the rate, nothing is made up for.
        due = max(due + pause, time.monotonic())
        turn += 1
        if turn % 2:
            version, took, has_failed = ask(connection, given.baseline, given, draw)
            answers.add(["baseline"], took, has_failed)
        else:
            version, took, has_failed = ask(connection, given.host, given, draw)
            answers.add(["split", f"  {version}"], took, has_failed)
    connection.close()


def at(ascending, share):
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def main():
    given, answers = arguments(), Answers()
    ends = time.monotonic() + given.seconds
    visitors = [
        threading.Thread(target=visit, args=(number, given, answers, ends))
        for number in range(int(given.connections))
    ]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join()
    if not {"baseline", "split"} <= answers.milliseconds.keys():
        sys.exit("load-test.py: too few requests; more --seconds or a higher --rate")
    print("              REQUESTS   FAILED      P50      P95      P99      MAX")
    versions = sorted(name for name in answers.milliseconds if name.startswith(" "))
    p99 = {}
    for name in ["baseline", "split", *versions]:
        took = sorted(answers.milliseconds[name])
        p99[name] = at(took, 0.99)
        times = [at(took, 0.5), at(took, 0.95), p99[name], took[-1]]
        times = " ".join(f"{value:6.1f}ms" for value in times)
        print(f"{name:<12} {len(took):9} {answers.failed[name]:8} {times}")
    added = p99["split"] - p99["baseline"]
    failed = answers.failed["baseline"] + answers.failed["split"]
    print(f"the split adds {added:.1f} ms to the P99; {failed} requests failed")
    if failed or (given.most_added is not None and added > given.most_added):
        sys.exit(1)


if __name__ == "__main__":
    main()
