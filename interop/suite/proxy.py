"""A UDP proxy that mistreats datagrams both ways, in a process of its own.

python3 -m suite.proxy LISTEN DEST [--drop P] [--dup P] [--reorder P] [--seed N] [--rebind N]

Each client gets a socket towards the server, as behind an address translator. --rebind N gives it a new one after N of its
datagrams: to the server, the client's port changes.
"""
import argparse
import heapq
import random
import selectors
import socket
import time

HOST = "127.0.0.1"
LATE = 0.005


def bound(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        s.setsockopt(socket.SOL_SOCKET, option, 4 << 20)
    s.bind((HOST, port))
    return s


class Proxy:
    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.front = bound(args.listen)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.front, selectors.EVENT_READ, None)
        self.backs = {}
        self.heard = {}
        self.queue = []
        self.order = 0

    def back(self, client):
        """The socket of a client towards the server."""
        self.heard[client] = self.heard.get(client, 0) + 1
        if client not in self.backs or self.heard[client] == self.args.rebind:
            if client in self.backs:
                self.selector.unregister(self.backs[client])
                self.backs[client].close()
            self.backs[client] = bound(0)
            self.selector.register(self.backs[client], selectors.EVENT_READ, client)
        return self.backs[client]

    def forward(self, out, to, datagram):
        if self.random.random() < self.args.drop:
            return
        for _ in range(2 if self.random.random() < self.args.dup else 1):
            late = LATE if self.random.random() < self.args.reorder else 0
            self.order += 1
            heapq.heappush(self.queue, (time.monotonic() + late, self.order, out, to, datagram))

    def send_due(self):
        while self.queue and self.queue[0][0] <= time.monotonic():
            _, _, out, to, datagram = heapq.heappop(self.queue)
            try:
                out.sendto(datagram, to)
            except OSError:
                pass  # The socket was closed since, or nothing listens there: lost.

    def run(self):
        print("ready", flush=True)
        while True:
            self.send_due()
            wait = max(self.queue[0][0] - time.monotonic(), 0) if self.queue else None
            for key, _ in self.selector.select(wait):
                try:
                    datagram, source = key.fileobj.recvfrom(65536)
                except OSError:
                    continue
                if key.data is None:
                    self.forward(self.back(source), (HOST, self.args.dest), datagram)
                else:
                    self.forward(self.front, key.data, datagram)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("listen", type=int)
    parser.add_argument("dest", type=int)
    for name in ("drop", "dup", "reorder"):
        parser.add_argument("--" + name, type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rebind", type=int, default=0)
    Proxy(parser.parse_args()).run()


if __name__ == "__main__":
    main()
