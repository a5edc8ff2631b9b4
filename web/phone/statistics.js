/**
 * What getStats() says about a call, in the same shape as the gateway's own
 * `statistics` message, so that both sides of a call read alike.
 *
 * Loss is a fraction from 0 to 1 of the packets of the last interval, null
 * where unknown.
 */

/** "audio/opus" at 48000 -> "Opus 48 kHz". */
export function codecName(codec) {
  if (!codec?.mimeType) return null;
  const name = codec.mimeType.replace(/^audio\//i, "");
  const familiar = { opus: "Opus", pcmu: "G.711 µ-law", pcma: "G.711 A-law", g722: "G.722" }[name.toLowerCase()];
  return familiar ?? name;
}

/** Reads one peer connection; made anew for each call. */
export class ConnectionStatistics {
  #connection;
  #previous = { received: 0, lost: 0 };

  constructor(connection) {
    this.#connection = connection;
  }

  /**
   * @returns {Promise<{codec: ?string, lossIn: ?number, lossOut: ?number,
   *   jitterMs: ?number, roundTripMs: ?number, packetsReceived: number, packetsSent: number}>}
   */
  async read() {
    const report = await this.#connection.getStats();
    let inbound, outbound, remoteInbound, transport;
    for (const entry of report.values()) {
      const audio = (entry.kind ?? entry.mediaType) === "audio";
      if (entry.type === "inbound-rtp" && audio) inbound = entry;
      else if (entry.type === "outbound-rtp" && audio) outbound = entry;
      else if (entry.type === "remote-inbound-rtp" && audio) remoteInbound = entry;
      else if (entry.type === "transport") transport = entry;
    }
    const pair = report.get(transport?.selectedCandidatePairId) ?? selectedPair(report);
    const roundTrip = remoteInbound?.roundTripTime ?? pair?.currentRoundTripTime;
    return {
      codec: codecName(report.get(inbound?.codecId) ?? report.get(outbound?.codecId)),
      lossIn: this.#lossSinceLast(inbound),
      lossOut: remoteInbound?.fractionLost ?? null,
      jitterMs: inbound?.jitter === undefined ? null : inbound.jitter * 1000,
      roundTripMs: roundTrip === undefined ? null : roundTrip * 1000,
      packetsReceived: inbound?.packetsReceived ?? 0,
      packetsSent: outbound?.packetsSent ?? 0,
    };
  }

  #lossSinceLast(inbound) {
    if (!inbound) return null;
    const received = inbound.packetsReceived - this.#previous.received;
    // packetsLost can shrink when a late packet comes after all.
    const lost = Math.max(0, inbound.packetsLost - this.#previous.lost);
    this.#previous = { received: inbound.packetsReceived, lost: inbound.packetsLost };
    return received + lost > 0 ? lost / (received + lost) : null;
  }
}

/** Firefox has no `transport` entry: its pair in use says so itself. */
function selectedPair(report) {
  for (const entry of report.values()) {
    if (entry.type === "candidate-pair" && (entry.selected || (entry.nominated && entry.state === "succeeded"))) {
      return entry;
    }
  }
  return undefined;
}

/**
 * How a call sounds, from the worst of both sides: "good", "fair", "poor", or
 * null before anything is known. A rough cut of the E-model (ITU-T G.107): loss
 * that concealment hides, and delay below what a talker notices, count as good.
 */
export function verdict(...sides) {
  let worst = null;
  const order = ["good", "fair", "poor"];
  for (const side of sides) {
    if (!side) continue;
    const loss = Math.max(side.lossIn ?? 0, side.lossOut ?? 0);
    const known = [side.lossIn, side.lossOut, side.jitterMs, side.roundTripMs].some((value) => value != null);
    if (!known) continue;
    let grade = "good";
    if (loss > 0.02 || (side.jitterMs ?? 0) > 30 || (side.roundTripMs ?? 0) > 300) grade = "fair";
    if (loss > 0.08 || (side.jitterMs ?? 0) > 80 || (side.roundTripMs ?? 0) > 600) grade = "poor";
    if (worst === null || order.indexOf(grade) > order.indexOf(worst)) worst = grade;
  }
  return worst;
}

/** Waits for the far end's first packet and first sound, and writes both into `marks`. */
export function watchFirstAudio(call, onset) {
  const started = performance.now();
  const look = () => {
    const connection = call.peerConnection;
    if (call.state === "ended" || !connection) {
      onset?.close();
      return;
    }
    const now = performance.now();
    if (call.marks.firstPacket === undefined) {
      const receiver = connection.getReceivers().find(({ track }) => track.kind === "audio");
      // getStats() is cached for 50 ms in Chromium; synchronisation sources are not.
      if (receiver?.getSynchronizationSources().length > 0) call.marks.firstPacket = now;
    }
    if (onset?.heard()) call.marks.firstAudio ??= now;
    if (call.marks.firstPacket !== undefined && (!onset || call.marks.firstAudio !== undefined)) {
      onset?.close();
      return;
    }
    // Exact while a call is set up; a far end that stays silent costs little.
    setTimeout(look, now - started < 10_000 ? 2 : 200);
  };
  look();
}
