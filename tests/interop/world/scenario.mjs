// Scenarios of sipp, written as the steps of a call: what is said in a dialog is spelled out once,
// here, and a behaviour says only what it is about. Each runs one call.

const escape = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("\"", "&quot;");

const message = (lines, body, type = "application/sdp") => [
  "<![CDATA[", ...lines,
  ...(body === undefined ? ["Content-Length: 0", ""] : [`Content-Type: ${type}`, "Content-Length: [len]", "", ...body]),
  "]]>",
].map((line) => `      ${line}`.trimEnd()).join("\n");

const send = (text, attributes = "") => `  <send${attributes}>\n${text}\n  </send>`;

/**
 * A description. audio: "played" is where what <play()> plays comes from, "silent" another port;
 * version: of its origin; lines: more of the media section, profile: of its first line
 */
export function sdp({ audio = "silent", version = 1, profile = "RTP/AVP", lines = ["a=sendrecv"] } = {}) {
  return [
    "v=0", `o=- 1 ${version} IN IP[local_ip_type] [local_ip]`, "s=-", "c=IN IP[media_ip_type] [media_ip]", "t=0 0",
    `m=audio [${audio === "played" ? "rtpstream_audio_port" : "media_port"}] ${profile} 0`,
    "a=rtpmap:0 PCMU/8000", ...lines,
  ];
}

/** The steps of one call; each method adds one and gives the scenario back. */
export class Scenario {
  #steps = [];
  #variables = new Set();
  #caller;

  /** @param {boolean} caller sipp makes the call; else it waits for one */
  constructor(name, caller) {
    this.name = name;
    this.#caller = caller;
  }

  /** A call that comes: checks as in `receive`. */
  static called(name, checks = {}) {
    return new Scenario(name, false).invited(checks);
  }

  /** A call that sipp makes to its -s; headers: more lines of the INVITE. */
  static calls(name, { headers = [], body = sdp() } = {}) {
    const scenario = new Scenario(name, true);
    scenario.#steps.push(send(message([
      "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
      "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
      "From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]",
      "To: <sip:[service]@[remote_ip]:[remote_port]>",
      "Call-ID: [call_id]", "CSeq: 1 INVITE", "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>",
      "Max-Forwards: 70", ...headers,
    ], body), ` retrans="500"`));
    return scenario;
  }

  /** A text that sipp writes to its -s, outside calls; headers: more lines. */
  static writes(name, text, { headers = [], type = "text/plain;charset=UTF-8" } = {}) {
    const scenario = new Scenario(name, true);
    scenario.#steps.push(send(message([
      "MESSAGE sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
      "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
      "From: \"Ada\" <sip:[from]@[local_ip]:[local_port]>;tag=[pid]-[call_number]",
      "To: <sip:[service]@[remote_ip]:[remote_port]>",
      "Call-ID: [call_id]", "CSeq: 1 MESSAGE", "Max-Forwards: 70", ...headers,
    ], text.split("\n"), type), ` retrans="500"`));
    return scenario;
  }

  /** A text comes, outside calls, and is answered with that. */
  static written(name, checks, status = 200, reason = "OK") {
    return new Scenario(name, false).receive("MESSAGE", checks).reply(status, reason, { tag: "[pid]-[call_number]" });
  }

  #receive(what, { has = [], lacks = [], keep = [], optional = false } = {}) {
    const actions = [];
    const check = (wanted, attribute) => {
      const [where, pattern] = Array.isArray(wanted) ? [`search_in="hdr" header="${wanted[0]}"`, wanted[1]] : [`search_in="msg"`, wanted];
      const variable = `check${this.#variables.size}`;
      this.#variables.add(variable);
      actions.push(`      <ereg regexp="${escape(pattern)}" ${where} ${attribute}="true" assign_to="${variable}"/>`);
    };
    for (const pattern of has) check(pattern, "check_it");
    for (const pattern of lacks) check(pattern, "check_it_inverse");
    for (const [variable, header, pattern] of keep) {
      this.#variables.add(variable);
      const where = header === null ? `search_in="msg"` : `search_in="hdr" header="${header}"`;
      actions.push(`      <ereg regexp="${escape(pattern)}" ${where} check_it="true" assign_to="${variable}"/>`);
    }
    const inside = actions.length === 0 ? "" : `\n    <action>\n${actions.join("\n")}\n    </action>\n  `;
    this.#steps.push(`  <recv ${what}${optional ? ` optional="true"` : ""}>${inside}</recv>`);
    return this;
  }

  /** An INVITE comes that `answer` answers, whatever comes in between. */
  invited({ keep = [], ...checks } = {}) {
    return this.receiveForLater("INVITE", { ...checks, keep: [["contact", "Contact:", "sip:[^>;]*"], ["remote", "From:", ".*"], ...keep] });
  }

  /** A request comes that `answer` answers, whatever comes in between. */
  receiveForLater(method, { keep = [], ...checks } = {}) {
    const lines = [["caller", "From:"], ["via", "Via:"], ["cseq", "CSeq:"], ["callee", "To:"]];
    return this.receive(method, { ...checks, keep: [...lines.map(([variable, header]) => [variable, header, ".*"]), ...keep] });
  }

  /** A request comes. has, lacks: POSIX expressions for the whole message, or [header, expression]. */
  receive(method, checks) {
    return this.#receive(`request="${method}"`, checks);
  }

  /**
   * A response comes. Besides the checks: dialog: it is the first that names the callee's side;
   * optional: it may be left out; keep: [variable, header or null for anywhere, expression].
   */
  response(status, { dialog = false, keep = [], ...checks } = {}) {
    const named = dialog ? [["remote", "To:", ".*"], ["contact", "Contact:", "sip:[^>;]*"]] : [];
    return this.#receive(`response="${status}"`, { ...checks, keep: [...named, ...keep] });
  }

  /**
   * Answers what was received for later, as the INVITE is. tag: of this fork, null in a dialog; headers: more lines; body: a description;
   * again: repeated until the ACK
   */
  answer(status, reason, { tag = "[pid]-[call_number]", headers = [], body, contact = "<sip:[local_ip]:[local_port];transport=[transport]>", again = status >= 200 } = {}) {
    this.#steps.push(send(message([
      `SIP/2.0 ${status} ${reason}`, "Via:[$via]", "From:[$caller]", `To:[$callee]${tag ? `;tag=${tag}` : ""}`, "Call-ID: [call_id]",
      "CSeq:[$cseq]", `Contact: ${contact}`, ...headers,
    ], body), again ? ` retrans="500"` : ""));
    return this;
  }

  /** Answers the request that came last. */
  reply(status = 200, reason = "OK", { headers = [], body, again = false, tag } = {}) {
    this.#steps.push(send(message([
      `SIP/2.0 ${status} ${reason}`, "[last_Via:]", "[last_From:]", `[last_To:]${tag ? `;tag=${tag}` : ""}`, "[last_Call-ID:]", "[last_CSeq:]",
      "Contact: <sip:[local_ip]:[local_port];transport=[transport]>", ...headers,
    ], body), again ? ` retrans="500"` : ""));
    return this;
  }

  /** A request of sipp's in the dialog. type: of its body */
  request(method, sequence, { tag = "[pid]-[call_number]", headers = [], body, type } = {}) {
    const own = this.#caller ? "<sip:sipp@[local_ip]:[local_port]>" : "<sip:[service]@[local_ip]>";
    this.#steps.push(send(message([
      `${method} [$contact] SIP/2.0`, "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]",
      `From: ${own};tag=${tag}`, "To:[$remote]", "Call-ID: [call_id]", `CSeq: ${sequence} ${method}`,
      ...(method === "ACK" || method === "BYE" ? [] : ["Contact: <sip:[local_ip]:[local_port];transport=[transport]>"]),
      "Max-Forwards: 70", ...headers,
    ], body, type), method === "ACK" ? "" : ` retrans="500"`));
    return this;
  }

  /** An INVITE of sipp's is refused: its ACK belongs to its transaction. */
  refused(status, sequence, checks) {
    const own = this.#caller ? "<sip:sipp@[local_ip]:[local_port]>" : "<sip:[service]@[local_ip]>";
    this.response(status, checks);
    this.#steps.push(send(message([
      `ACK ${this.#caller ? "sip:[service]@[remote_ip]:[remote_port]" : "[$contact]"} SIP/2.0`, "[last_Via:]", `From: ${own};tag=[pid]-[call_number]`, "[last_To:]",
      "Call-ID: [call_id]", `CSeq: ${sequence} ACK`, "Max-Forwards: 70",
    ])));
    return this;
  }

  /** Lets time go by. */
  pause(milliseconds) {
    this.#steps.push(`  <pause milliseconds="${milliseconds}"/>`);
    return this;
  }

  /** Plays the PCMU octets that sipp() was given, for the rest of the call. */
  play() {
    this.#steps.push(`  <nop><action><exec rtp_stream="[media],-1,0,PCMU/8000"/></action></nop>`);
    return this;
  }

  /** The far end hangs up. */
  isHungUp(checks) {
    return this.receive("BYE", checks).reply();
  }

  /** sipp hangs up. */
  hangUp(sequence) {
    return this.request("BYE", sequence).response(200);
  }

  get xml() {
    const used = [...this.#variables];
    const reference = used.length > 0 ? `\n  <Reference variables="${used.join(",")}"/>` : "";
    return `<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="${this.name}">\n${this.#steps.join("\n")}${reference}\n</scenario>\n`;
  }
}
