//! The long part of `rxrpc decode --help`.

/// What the columns, letters and objects mean, and where tshark sees things differently.
pub(super) const AFTER: &str = "\
Lines: one a packet, and one a segment of a jumbogram. Times are seconds since the first frame, frames count
from 1, LEN is octets after the header. FLAGS: C from the client, R asks for an ACK, L last packet, M more
packets, J another segment follows; on an ACK X extended table, S slow start; + bits without a name.
The table of an ACK has an entry a packet from `first` on: . missing, # received, o and @ the same with
reserved bits set. After it come the words of the trailer: largest datagram, largest single packet, receive
window, most segments of a jumbogram. `retransmission` is a sequence number seen before in its direction of
the call, `copy` the very same packet seen twice.

Calls: told apart by both addresses, epoch, connection id and number. Bytes and packets count each sequence
number once, AGAIN the retransmissions. A round trip runs from a packet past the point of capture to the
first ACK past it that names its serial; delayed ACKs do not count.

JSON: each line is an object with `kind`: packet, incomplete (fragments are missing), call, capture. Packets
have the fields of the header and, by type, `segments`, `ack`, `abort` or `body`; `malformed` names a fault.

What is read: pcap and pcapng; Ethernet with VLAN tags, Linux cooked, raw IP, loopback; IPv4 and IPv6, in
fragments too. Packets that segmentation offload left in one datagram are shown one by one.

Where tshark differs: it does not split jumbograms or offloaded datagrams, does not read DEBUG bodies and has
no name for flag 0x20; calls a VERSION packet a NAT ping; takes only ports 7000 to 7009 and 7021 for Rx
(-d udp.port==N,rx adds one).

Exit codes: 0 ok, 1 no Rx packet, or the file cannot be read to its end, 2 usage. Colours only on a terminal,
and not with NO_COLOR.

Examples:
  rxrpc decode afs.pcap                         all packets, then the calls
  rxrpc decode afs.pcap --call 3 --plot 3.svg   one call, and its picture
  tcpdump -w - -c 1000 udp port 7000 | rxrpc decode -";
