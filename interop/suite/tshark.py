"""`rxrpc decode` against tshark: the same packets with the same fields, on every capture in testdata/.

What tshark does not have is not compared: jumbograms (it reads the header and the first segment), DEBUG bodies, the
text of VERSION packets. It reads the sealed part of a RESPONSE as if it were clear; that is not compared either.
"""
import calendar
import json
import time

from .prepare import ROOT, Need
from .rig import Failed, add, ended_well, must

TSHARK = Need({"tshark": "tshark"})

# Ports of the captures that tshark does not take for Rx by itself.
PORTS = (7019, 7029, 7039)
# What tshark calls a field, and where it is in a packet line of ours.
HEADER = {
    "rx.cid": "cid", "rx.callnumber": "call_number", "rx.seq": "seq", "rx.type": "type_number",
    "rx.flags": "flags_octet", "rx.userstatus": "user_status", "rx.securityindex": "security_index",
    "rx.spare": "checksum", "rx.serviceid": "service",
}
ACK = {
    "rx.bufferspace": "buffer_space", "rx.maxskew": "max_skew", "rx.first": "first", "rx.prev": "previous",
    "rx.reason": "reason_number", "rx.num_acks": "entries",
}
# The order of the trailer on the wire.
TRAILER = ("rx.max_mtu", "rx.if_mtu", "rx.rwind", "rx.max_packets")
HANDSHAKE = {"rx.version": "version", "rx.nonce": "nonce", "rx.kvno": "kvno", "rx.ticket_len": "ticket_octets"}
RESPONSE = 7
LEVELS = {0: "clear", 1: "auth", 2: "crypt"}
PLACE = ("frame.number", "frame.time_epoch", "udp.srcport", "udp.dstport")
FIELDS = (
    *PLACE, "rx.epoch", "rx.serial", *HEADER, *ACK, "rx.ack_type", *TRAILER, *HANDSHAKE, "rx.min_level",
    "rx.abort_code",
)


def by_tshark(rig, capture):
    """The Rx packets of a capture: for each frame, the values of each field as numbers."""
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields", "-E", "occurrence=a", "-Y", "rx"]
    for port in PORTS:
        command += ["-d", f"udp.port=={port},rx"]
    for field in FIELDS:
        command += ["-e", field]
    text = ended_well(rig.run(f"tshark-{capture.stem}", ["env", "TZ=UTC", *command], 60.0))
    rows = [line.split("\t") for line in text.splitlines() if line.count("\t") == len(FIELDS) - 1]
    packets = {}
    for row in rows:
        packet = {field: number(field, text) for field, text in zip(FIELDS, row)}
        if packet["rx.type"] == [RESPONSE]:
            # It reads the sealed part too, sealed as it is, and gives what comes out under the names of the header.
            packet |= {field: packet[field][:1] for field in ("rx.epoch", "rx.serial", *HEADER)}
        packets[packet["frame.number"][0]] = packet
    must(len(packets) == len(rows), f"{capture.name}: tshark gives a frame twice")
    return packets


def number(field, text):
    if not text:
        return []
    if field == "rx.epoch":
        # It takes the epoch for a point in time. Older versions write nine digits after the seconds.
        return [calendar.timegm(time.strptime(text.split(".")[0].removesuffix(" UTC"), "%b %d, %Y %H:%M:%S"))]
    if field == "frame.time_epoch":
        seconds, _, fraction = text.partition(".")
        return [int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9])]
    return [int(value, 0) for value in text.split(",")]


def by_us(rig, capture):
    """The same packets as `rxrpc decode` gives them, in the same form."""
    text = ended_well(rig.rxrpc("decode", "--json", str(capture), seconds=60.0))
    lines = [json.loads(line) for line in text.splitlines()]
    packets = [line for line in lines if line["kind"] == "packet"]
    must(len({p["frame"] for p in packets}) == len(packets), f"{capture.name}: we give a frame twice")
    return {packet["frame"]: as_tshark_has_it(packet) for packet in packets}


def as_tshark_has_it(packet):
    must("malformed" not in packet, f"frame {packet['frame']} is malformed: {packet.get('malformed')}")
    ack, body = packet.get("ack"), packet.get("body", {})
    ports = [int(packet[end].rpartition(":")[2]) for end in ("from", "to")]
    values = {"frame.number": packet["frame"], "frame.time_epoch": packet["time_ns"], "rx.epoch": packet["epoch"]}
    values |= {"udp.srcport": ports[0], "udp.dstport": ports[1]}
    values |= {theirs: packet[ours] for theirs, ours in HEADER.items()}
    values["rx.abort_code"] = packet.get("abort", {}).get("code")
    if packet["type"] in ("CHALLENGE", "RESPONSE"):
        values |= {theirs: body.get(ours) for theirs, ours in HANDSHAKE.items()}
    if packet["type"] == "CHALLENGE":
        values["rx.min_level"] = next(n for n, name in LEVELS.items() if name == body["min_level"])
    values = {field: [value] for field, value in values.items() if value is not None}
    values["rx.serial"] = [packet["serial"]]
    if ack:
        values["rx.serial"].append(ack["serial"])
        values |= {theirs: [ack[ours]] for theirs, ours in ACK.items()}
        values["rx.ack_type"] = ack["table"]
        values |= {field: [word] for field, word in zip(TRAILER, ack["trailer"])}
    return {field: values.get(field, []) for field in FIELDS}


def compare(rig):
    captures = sorted((ROOT / "testdata").glob("*.pcap"))
    must(len(captures) >= 38, f"only {len(captures)} captures in testdata/")
    frames = 0
    for capture in captures:
        theirs, ours = by_tshark(rig, capture), by_us(rig, capture)
        must(theirs, f"{capture.name}: tshark finds no Rx packet")
        apart = sorted(theirs.keys() ^ ours.keys())
        must(not apart, f"{capture.name}: frames that only one of us takes for Rx: {apart}")
        for frame, packet in theirs.items():
            for field in FIELDS:
                there, here = packet[field], ours[frame][field]
                if there != here:
                    raise Failed(f"{capture.name}, frame {frame}: {field} is {there} there, {here} here")
        frames += len(theirs)
    must(frames >= 2793, f"only {frames} packets compared")
    print(f"     {len(captures)} captures, {frames} packets, {frames * len(FIELDS)} fields", flush=True)


add("decode: the packets and fields that tshark finds in testdata/", compare, limit=300.0, needs=[TSHARK])
