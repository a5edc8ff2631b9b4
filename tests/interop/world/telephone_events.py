# Prints the telephone events (RFC 4733) that arrive in this network namespace: one line of JSON a
# packet. Packets of the loopback device count once, as they arrive. "ready" is printed first.

import json
import socket
import struct
import sys
import time

ETH_P_IP = 0x0800
UDP = 17
RTP_HEADER = 12
EVENT = 4

capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
capture.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
print("ready", flush=True)
while True:
    packet = capture.recv(2048)
    if len(packet) < 28 or packet[9] != UDP:
        continue
    header = 4 * (packet[0] & 15)
    port, length = struct.unpack_from("!HH", packet, header + 2)
    payload = packet[header + 8:header + length]
    # RTP version 2 without extension or contributors, a dynamic type, four octets.
    if len(payload) != RTP_HEADER + EVENT or payload[0] != 0x80 or payload[1] & 127 < 96:
        continue
    _, kind, sequence, timestamp, source, event, flags, duration = struct.unpack("!BBHIIBBH", payload)
    print(json.dumps({
        "at": time.time(), "from": socket.inet_ntoa(packet[12:16]), "to": socket.inet_ntoa(packet[16:20]), "port": port,
        "type": kind & 127, "marker": kind >> 7, "sequence": sequence, "timestamp": timestamp, "source": source,
        "event": event, "end": flags >> 7, "duration": duration,
    }))
    sys.stdout.flush()
