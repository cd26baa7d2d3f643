"""Frames between the trusted side and a student's process.  Never pickle from there to here.

A frame is its length (4 bytes, capped before anything is read), the length of a JSON header (4 bytes), the header
``{"body": ..., "blobs": [sizes]}`` and the blobs (see plain.py).  Whatever does not follow these rules, to the last
byte, is ``Broken``.
"""

import json
import math
import os
import queue
import select
import struct
import threading
import time

from .plain import HEADER, Broken, Decoder, Encoder, Oversized

FRAME = 64 * 2**20


class Closed(Broken):
    """The other side is gone."""


# -------------------- frames --------------------


def pack(value, extra=None, cap=FRAME):
    """The frame of a value.  extra(x) -> a plain value that stands for x, for objects which only one side may send."""
    blobs = []
    body = Encoder(blobs, extra, cap).encode(value, 0)
    header = json.dumps({"body": body, "blobs": [len(b) for b in blobs]}, allow_nan=False).encode()
    size = 4 + len(header) + sum(map(len, blobs))
    if len(header) > HEADER or size > cap:
        raise Oversized(f"{size / 1e6:.0f} MB; at most {min(cap, HEADER) / 1e6:.0f} MB of it can be sent")
    return b"".join([struct.pack("<II", size, len(header)), header, *blobs])


def unpack(payload, extra=None):
    """The value of a frame's payload (all after the first length).  extra(plain value) -> what it stands for."""
    try:
        (size,) = struct.unpack_from("<I", payload)
        if size > min(HEADER, len(payload) - 4):
            raise Broken("a header longer than its frame")
        header = json.loads(payload[4 : 4 + size].decode(), parse_constant=_refuse)
        if not isinstance(header, dict) or header.keys() != {"body", "blobs"}:
            raise Broken("not a header")
        return Decoder(_blobs(header["blobs"], payload, 4 + size), extra).decode(header["body"], 0)
    except Broken:
        raise
    except Exception as why:  # whatever a hostile frame may trip over, it is the frame's fault
        raise Broken(f"{type(why).__name__}: {str(why)[:200]}") from None


def _refuse(constant):
    raise Broken(f"{constant} in JSON")


def _blobs(sizes, payload, start):
    if not isinstance(sizes, list) or not all(type(n) is int and n >= 0 for n in sizes):
        raise Broken("not a list of sizes")
    if start + sum(sizes) != len(payload):
        raise Broken("blobs that do not fill their frame")
    view, blobs = memoryview(payload), []
    for n in sizes:
        blobs.append(view[start : start + n])
        start += n
    return blobs


class Channel:
    """Frames over a connected stream socket; deadlines are times of ``time.monotonic``."""

    def __init__(self, sock, cap=FRAME):
        self.sock, self.cap = sock, cap
        sock.setblocking(False)

    def send(self, frame, deadline=None, tick=None):
        view = memoryview(frame)
        while view:
            self._wait(select.POLLOUT, deadline, tick)
            try:
                view = view[self.sock.send(view[: 2**20]) :]
            except BlockingIOError:
                continue
            except OSError as why:
                raise Closed(str(why)) from None

    def receive(self, deadline=None, tick=None):
        """The payload of the next frame; Closed at the end, TimeoutError at the deadline."""
        (size,) = struct.unpack("<I", self._exactly(4, deadline, tick))
        if not 4 <= size <= self.cap:
            raise Broken(f"a frame of {size} bytes")
        return self._exactly(size, deadline, tick)

    def idle(self):
        """Whether nothing waits to be read: between a reply and the next request nothing should."""
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def _exactly(self, n, deadline, tick):
        got = bytearray()  # grows with what has really come
        while len(got) < n:
            self._wait(select.POLLIN, deadline, tick)
            try:
                more = self.sock.recv(min(2**18, n - len(got)))
            except BlockingIOError:
                continue
            except OSError as why:
                raise Closed(str(why)) from None
            if not more:
                raise Closed("the channel is closed")
            got += more
        return bytes(got)

    def _wait(self, event, deadline, tick):
        """Until the socket is ready; ``tick()`` is called every half second meanwhile."""
        poll = select.poll()
        poll.register(self.sock, event)
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            step = left if tick is None else min(0.5, math.inf if left is None else left)
            if poll.poll(None if step is None else math.ceil(step * 1000)):
                return
            if tick is not None:
                tick()


class Pipes:
    """The same over two descriptors, where there are no sockets to be handed to a process: a thread reads."""

    def __init__(self, source, sink, cap=FRAME, at_end=None):
        self.source, self.sink, self.cap, self.at_end = source, sink, cap, at_end
        self._came = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def join(self):
        """Waits a little for the reader, after the other side has ended."""
        self._reader.join(timeout=5)

    def send(self, frame, deadline=None, tick=None):
        if deadline is None:
            return self._write(frame)
        done = queue.SimpleQueue()
        threading.Thread(target=lambda: done.put(self._write(frame)), daemon=True).start()
        self._get(done, deadline, tick)

    def receive(self, deadline=None, tick=None):
        came = self._get(self._came, deadline, tick)
        if isinstance(came, Broken):
            self._came.put(came)
            raise came
        return came

    def idle(self):
        return self._came.empty()

    def _get(self, waiting, deadline, tick):
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError
            try:
                return waiting.get(timeout=left if tick is None else min(0.5, math.inf if left is None else left))
            except queue.Empty:
                if tick is not None:
                    tick()

    def _write(self, frame):
        view = memoryview(frame)
        try:
            while view:
                view = view[os.write(self.sink, view[: 2**20]) :]
        except OSError as why:  # the reader tells
            return why

    def _read(self):
        try:
            while True:
                (size,) = struct.unpack("<I", self._exactly(4))
                if not 4 <= size <= self.cap:
                    raise Broken(f"a frame of {size} bytes")
                self._came.put(self._exactly(size))
        except Broken as why:
            self._came.put(why)
        if self.at_end is not None:
            self.at_end()

    def _exactly(self, n):
        got = bytearray()
        while len(got) < n:
            try:
                more = os.read(self.source, min(2**18, n - len(got)))
            except OSError as why:
                raise Closed(str(why)) from None
            if not more:
                raise Closed("the channel is closed")
            got += more
        return bytes(got)
