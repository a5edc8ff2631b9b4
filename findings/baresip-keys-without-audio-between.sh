#!/bin/bash
# baresip 1.1.0 (Debian 13, package baresip-core 1.1.0-3, with libre1 2.0.1-3 and librem1 1.0.0-3) and
# telephone events (RFC 4733).
#
# Four keys, each a well-formed event of its own: marker, a timestamp of its own, updates every
# 20 ms, the end three times. A sender without audio (a muted microphone, a page that asks its gateway
# for digits) sends nothing between them.
#
# Seen: without audio between them baresip reports the first key alone. With one packet of audio
# between two keys it reports 4, 7 and 1. It looks at a telephone event only in the packet in which
# the payload type has changed, so it never sees an end, and takes the second of two equal keys for
# the first that goes on: that one is lost whoever sends it. baresip 1.0.0 (Debian 12) reports all
# four, begin and end, in both cases.
#
# What a gateway does about it: between two keys at least one packet of audio is sent, silence
# where the source has nothing. Nothing helps the second of two equal keys.
#
# Needs Debian on amd64 with apt and python3; talks to 127.0.0.1 alone, leaves nothing behind.
set -euo pipefail

folder=$(mktemp -d)
phone=
finish() {
  [ -n "$phone" ] && kill "$phone" 2>/dev/null && wait "$phone" 2>/dev/null
  rm -rf "$folder"
}
trap finish EXIT
cd "$folder"
mkdir -p apt/lists/partial apt/archives/partial
: >apt/status
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >apt/sources.list
from_trixie() {
  apt-get -qq -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt" \
    -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null -o APT::Sandbox::User=root "$@"
}
from_trixie update
# The C library and OpenSSL of that Debian go with it, whichever they are now.
from_trixie download baresip-core=1.1.0-3 libre1=2.0.1-3 librem1=1.0.0-3 libc6 libssl3t64 zlib1g libzstd1
for package in ./*.deb; do dpkg -x "$package" root; done
libraries=$folder/root/usr/lib/x86_64-linux-gnu

mkdir phone
cat >phone/config <<EOF
sip_listen 127.0.0.1:15062
audio_source aubridge,nothing
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
rtp_ports 15100-15199
module_path $folder/root/usr/lib/baresip/modules
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
EOF
echo "<sip:phone@127.0.0.1:15062;transport=udp>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1;ptime=20" >phone/accounts
: >phone/contacts
"$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" root/usr/bin/baresip -f phone >phone.log 2>&1 </dev/null &
phone=$!
for _ in $(seq 100); do grep -qi "baresip is ready" phone.log && break; sleep 0.1; done
grep -qi "baresip is ready" phone.log || { cat phone.log; exit 1; }

cat >caller.py <<'EOF'
"""Calls the phone, presses 4711 and hangs up; with `audio`, one packet of silence between two keys."""
import re, socket, struct, sys, time

audio_between = sys.argv[1] == "audio"
name = "c%d" % time.time_ns()
sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sip.bind(("127.0.0.1", 0))
sip.settimeout(5)
rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
rtp.bind(("127.0.0.1", 0))
own, media = sip.getsockname()[1], rtp.getsockname()[1]
sdp = (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {media} RTP/AVP 0 101\r\n"
       "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n")

def request(method, number, to, body=""):
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (f"{method} sip:phone@127.0.0.1:15062 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{name}{method}\r\n"
            f"From: <sip:caller@127.0.0.1:{own}>;tag=1\r\nTo: {to}\r\nCall-ID: {name}\r\nCSeq: {number} {method}\r\n"
            f"Contact: <sip:caller@127.0.0.1:{own}>\r\nMax-Forwards: 70\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}").encode()

there = ("127.0.0.1", 15062)
sip.sendto(request("INVITE", 1, "<sip:phone@127.0.0.1:15062>", sdp), there)
while True:
    answer = sip.recv(65536).decode()
    if answer.startswith("SIP/2.0 200"):
        break
    assert answer.startswith("SIP/2.0 1"), answer
to = re.search(r"(?im)^to: (.*?)\r$", answer)[1]
port = int(re.search(r"m=audio (\d+)", answer)[1])
sip.sendto(request("ACK", 1, to), there)

sequence, timestamp, due = 100, 8000, time.monotonic()

def send(kind, marker, stamp, payload):
    global sequence
    rtp.sendto(struct.pack("!BBHII", 0x80, kind | marker << 7, sequence, stamp, 0x1234) + payload, ("127.0.0.1", port))
    sequence = sequence + 1 & 0xffff

def step():
    """The next 20 ms."""
    global timestamp, due
    timestamp += 160
    due += 0.02
    time.sleep(max(0, due - time.monotonic()))

def silence(packets):
    for _ in range(packets):
        send(0, 0, timestamp, b"\xff" * 160)
        step()

silence(25)
for index, key in enumerate([4, 7, 1, 1]):
    if index and audio_between:
        silence(1)
    begin = timestamp
    for update in range(1, 6):
        send(101, update == 1, begin, struct.pack("!BBH", key, 10, 160 * update))
        step()
    for _ in range(3):
        send(101, 0, begin, struct.pack("!BBH", key, 0x80 | 10, 800))
    # 80 ms until the next key, in which nothing is sent.
    for _ in range(4):
        step()
silence(25)
sip.sendto(request("BYE", 2, to), there)
sip.recv(65536)
EOF

keys() {
  : >phone.log
  python3 caller.py "$1"
  sleep 0.5
  grep -aoE "event: '.' \(end=[01]\)" phone.log | tr '\n' ' '
}
without=$(keys none)
with=$(keys audio)
echo "no audio between the keys:         $without"
echo "a packet of audio between the keys: $with"
[ "$without" = "event: '4' (end=0) " ] || { echo "changed: without audio between"; exit 1; }
[ "$with" = "event: '4' (end=0) event: '7' (end=0) event: '1' (end=0) " ] || { echo "changed: with audio between"; exit 1; }
echo "as described: baresip 1.1.0 reports 4 of 4711 without audio between the keys, 4, 7 and 1 with it"
