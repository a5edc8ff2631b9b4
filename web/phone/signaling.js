/**
 * The browser side of Trunkline's signalling: JSON messages over one WebSocket,
 * as written in docs/signaling.md. It keeps the socket alive, signs in again
 * after a break, and hands every message on; it knows nothing of audio.
 *
 *     const trunkline = new Trunkline({ url: "wss://gateway.example/rtc" });
 *     trunkline.addEventListener("welcome", ({ detail }) => console.log(detail.numbers));
 *     trunkline.addEventListener("incoming", ({ detail }) => console.log(detail.from));
 *     trunkline.connect({ user: "alice", password: "secret" });
 *
 * Every message from the gateway is dispatched as a CustomEvent named after its
 * `type`, the message itself in `detail`. Two events are the library's own:
 * `state`, with `detail: { state, reason, retryInMilliseconds, retryAfter }`, and `sign-in-refused`,
 * with `detail: { code, methods, retryAfter }`: a sign-in beside a session that goes on did not
 * succeed; the last two as of `error`.
 *
 * States:
 * - `closed`      not connected, and nothing is being tried
 * - `connecting`  a socket is opening, or `hello` waits for its `welcome`
 * - `signed-in`   `welcome` came; calls can be made
 * - `waiting`     the connection broke; the next attempt comes by itself
 * - `refused`     the gateway said no; trying again needs a person. After `too-many-attempts`
 *                 `retryAfter` says in how many seconds credentials are looked at again: what may
 *                 be wrong is not sent twice, since that would use up the attempt
 */

export const PROTOCOL_VERSION = 1;
export const SUBPROTOCOL = "trunkline.v1";

/** A quiet socket is asked for a sign of life this often. */
const PING_EVERY_MILLISECONDS = 20_000;
/** Without any message for this long after a ping, the socket counts as dead. */
const PONG_WITHIN_MILLISECONDS = 10_000;
/** `hello` must be answered within this time. */
const WELCOME_WITHIN_MILLISECONDS = 10_000;
const FIRST_RETRY_MILLISECONDS = 500;
const LONGEST_RETRY_MILLISECONDS = 30_000;

/** Errors before `welcome` that no second attempt with the same credentials can cure. */
const FINAL_ERRORS = new Set(["unauthorized", "token-expired", "unsupported-version"]);

/** A random id for an outgoing call: 32 characters that satisfy [A-Za-z0-9_-]{1,64}. */
export function newCallId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** How long to wait before attempt number `attempt` (from 0): doubling, capped, with jitter. */
export function retryDelay(attempt, random = Math.random) {
  const ceiling = Math.min(LONGEST_RETRY_MILLISECONDS, FIRST_RETRY_MILLISECONDS * 2 ** attempt);
  // Half fixed, half random: a gateway that restarts is not met by all its pages at once.
  return Math.round(ceiling / 2 + (random() * ceiling) / 2);
}

export class Trunkline extends EventTarget {
  #url;
  #credentials = {};
  /** Whether the gateway has taken these credentials before. */
  #wereTaken = false;
  #socket = null;
  #attempt = 0;
  #retryTimer = 0;
  #welcomeTimer = 0;
  #pingTimer = 0;
  #lastHeard = 0;
  #pingSentAt = 0;
  /** A token that `renew` has sent and that is not yet taken. */
  #renewing = null;
  /** A second sign-in under way beside the session: {socket, credentials, timer}. */
  #candidate = null;
  #onOnline = () => this.tryNow();

  /** "closed" | "connecting" | "signed-in" | "waiting" | "refused" */
  state = "closed";
  /** The last `welcome`, or null. */
  welcome = null;

  /** @param {{url: string}} options `url` is the ws: or wss: address of the door. */
  constructor({ url }) {
    super();
    this.#url = url;
  }

  /**
   * Signs in and stays signed in until `close()`. Credentials are kept in
   * memory only, for signing in again after a break. While signed in, the present
   * session and its calls go on until the gateway has let the new one in; when it
   * does not, `sign-in-refused` says why and nothing else changes.
   * @param {{user?: string, password?: string, token?: string}} credentials
   */
  connect(credentials = {}) {
    this.#dropCandidate();
    if (this.state === "signed-in") {
      this.#openBeside(credentials);
      return;
    }
    this.#credentials = credentials;
    this.#wereTaken = false;
    this.#attempt = 0;
    globalThis.addEventListener?.("online", this.#onOnline);
    this.#dropSocket();
    this.#open();
  }

  /** Closes the socket and stops trying. Calls on it end. */
  close() {
    this.#stop("closed", "closed");
  }

  /**
   * Sends one message. Returns false when there is no signed-in connection:
   * messages are never kept for later, since a new connection has no calls.
   */
  send(message) {
    if (this.state !== "signed-in") return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  call(call, to, sdp, name) {
    return this.send({ type: "call", call, to, sdp, ...(name && { name }) });
  }
  candidate(call, candidate) {
    return this.send({ type: "candidate", call, candidate });
  }
  accept(call, sdp) {
    return this.send({ type: "accept", call, sdp });
  }
  reject(call, reason = "declined") {
    return this.send({ type: "reject", call, reason });
  }
  dtmf(call, digits, duration = 100) {
    return this.send({ type: "dtmf", call, digits, duration });
  }
  hold(call, on) {
    return this.send({ type: "hold", call, on });
  }
  /** Connects the other side with a number, and leaves. */
  transfer(call, to) {
    return this.send({ type: "transfer", call, to });
  }
  /** Connects the other sides of two calls with each other, and leaves both. */
  join(call, replaces) {
    return this.send({ type: "transfer", call, replaces });
  }
  /** Writes to a number; `message-sent` or `message-failed` bears the `id`. */
  message(to, text, id) {
    return this.send({ type: "message", to, text, ...(id && { id }) });
  }
  /** Writes to the other side of an answered call. */
  messageInCall(call, text, id) {
    return this.send({ type: "message", call, text, ...(id && { id }) });
  }
  hangup(call) {
    return this.send({ type: "hangup", call });
  }

  /** Goes on with this session by a new token; `token-renewed` or `error` follows. */
  renew(token) {
    this.#renewing = token;
    return this.send({ type: "renew", token });
  }

  /** Makes the attempt that `waiting` would make later. */
  tryNow() {
    if (this.state === "waiting") this.#open();
  }

  /** After the page was frozen (back/forward cache): finds out whether the socket lives. */
  revive() {
    const socket = this.#socket;
    if (this.state === "signed-in" && socket.readyState !== WebSocket.OPEN) this.#broken(socket, "connection-lost");
    this.tryNow();
  }

  #openBeside(credentials) {
    const socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    const refuse = (code, { methods, retryAfter } = {}) => {
      if (this.#candidate?.socket !== socket) return;
      this.#dropCandidate();
      this.dispatchEvent(new CustomEvent("sign-in-refused", { detail: { code, methods, retryAfter } }));
    };
    const timer = setTimeout(() => refuse("no-welcome"), WELCOME_WITHIN_MILLISECONDS);
    this.#candidate = { socket, timer };
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", version: PROTOCOL_VERSION, ...credentials }));
    };
    socket.onclose = () => refuse("connection-lost");
    socket.onmessage = ({ data }) => {
      let message;
      try {
        message = JSON.parse(data);
      } catch {
        return;
      }
      if (message?.type === "error") refuse(message.code, message);
      else if (message?.type === "goodbye") refuse(message.reason);
      else if (message?.type === "welcome") this.#changeTo(socket, credentials, data);
    };
  }

  /** The new session is in: the old one and its calls end. */
  #changeTo(socket, credentials, welcome) {
    clearTimeout(this.#candidate.timer);
    this.#candidate = null;
    this.#dropSocket();
    this.#credentials = credentials;
    this.#socket = socket;
    this.#setState("connecting", { reason: "session-replaced" });
    this.#listen(socket);
    this.#receive(socket, welcome);
  }

  #dropCandidate() {
    if (!this.#candidate) return;
    const { socket, timer } = this.#candidate;
    this.#candidate = null;
    clearTimeout(timer);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #listen(socket) {
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    // A failed or lost socket always closes; its `error` event says nothing more.
    socket.onclose = () => this.#broken(socket, "connection-lost");
  }

  #open() {
    clearTimeout(this.#retryTimer);
    this.#setState("connecting");
    let socket;
    try {
      socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    } catch {
      this.#stop("refused", "bad-address");
      return;
    }
    this.#socket = socket;
    this.#welcomeTimer = setTimeout(() => this.#broken(socket, "no-welcome"), WELCOME_WITHIN_MILLISECONDS);
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "hello", version: PROTOCOL_VERSION, ...this.#credentials }));
    };
    this.#listen(socket);
  }

  #receive(socket, data) {
    if (socket !== this.#socket) return;
    this.#lastHeard = performance.now();
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof message?.type !== "string" || ["state", "sign-in-refused"].includes(message.type)) return;

    if (message.type === "welcome") {
      clearTimeout(this.#welcomeTimer);
      this.#attempt = 0;
      this.#wereTaken = true;
      this.welcome = message;
      this.#schedulePing();
      this.#setState("signed-in");
    } else if (message.type === "token-renewed") {
      this.#credentials = { ...this.#credentials, token: this.#renewing };
    }
    const beforeWelcome = this.state === "connecting";
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
    if (socket !== this.#socket) return;

    if (message.type === "error" && beforeWelcome && FINAL_ERRORS.has(message.code)) {
      this.#stop("refused", message.code);
    } else if (message.type === "error" && beforeWelcome && message.retryAfter && this.#isGuess) {
      this.#stop("refused", message.code, { retryAfter: message.retryAfter });
    } else if (message.type === "error" && beforeWelcome && message.retryAfter) {
      this.#broken(socket, message.code, message.retryAfter * 1000);
    } else if (message.type === "goodbye" && message.reason === "token-expired") {
      // The same token opens nothing any more.
      this.#stop("refused", message.reason);
    } else if (message.type === "goodbye") {
      this.#broken(socket, message.reason);
    }
  }

  /** A password that was typed and may be wrong. */
  get #isGuess() {
    return Boolean(this.#credentials.password) && !this.#wereTaken;
  }

  #schedulePing() {
    clearInterval(this.#pingTimer);
    this.#pingSentAt = 0;
    this.#pingTimer = setInterval(() => {
      const socket = this.#socket;
      this.#pingSentAt = performance.now();
      this.send({ type: "ping" });
      setTimeout(() => {
        if (socket === this.#socket && this.#lastHeard < this.#pingSentAt) this.#broken(socket, "no-pong");
      }, PONG_WITHIN_MILLISECONDS);
    }, PING_EVERY_MILLISECONDS);
  }

  /** The connection is gone without anyone having asked for it: wait, then try again. */
  #broken(socket, reason, least = 0) {
    if (socket !== this.#socket) return;
    this.#dropSocket();
    const retryInMilliseconds = Math.max(least, retryDelay(this.#attempt));
    this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#open(), retryInMilliseconds);
    this.#setState("waiting", { reason, retryInMilliseconds });
  }

  #stop(state, reason, detail = {}) {
    this.#dropCandidate();
    clearTimeout(this.#retryTimer);
    globalThis.removeEventListener?.("online", this.#onOnline);
    this.#dropSocket();
    this.#setState(state, { reason, ...detail });
  }

  #dropSocket() {
    clearTimeout(this.#welcomeTimer);
    clearInterval(this.#pingTimer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #setState(state, detail = {}) {
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: { state, ...detail } }));
  }
}
