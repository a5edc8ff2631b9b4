/** Everything that can go wrong, in people's words. Codes come from docs/signaling.md and docs/end-reasons.md. */

const ENDINGS = {
  "hangup-local": "Call ended.",
  "hangup-remote": "The other side hung up.",
  busy: "The line is busy.",
  declined: "The call was declined.",
  "no-answer": "Nobody answered.",
  cancelled: "The call was cancelled.",
  "not-found": "This number does not exist.",
  unavailable: "The other side is not available.",
  forbidden: "You are not allowed to call this number.",
  unauthorized: "The phone system did not accept the gateway's credentials.",
  "answered-elsewhere": "Answered on another device.",
  transferred: "The call was transferred. The others go on without you.",
  redirected: "The other side is reached at another number.",
  "session-replaced": "The call ended because you signed in anew.",
  "media-timeout": "The call ended because no sound arrived any more.",
  "ice-failed": "No sound path to the gateway could be found. A firewall may be blocking UDP.",
  "dtls-failed": "The encrypted sound path could not be set up.",
  "bad-offer": "This browser and the gateway could not agree on a call.",
  "bad-answer": "This browser and the gateway could not agree on a call.",
  "bad-pbx-description": "The gateway and the phone system could not agree on a call.",
  "no-common-codec": "The two sides have no audio format in common.",
  "trunk-unreachable": "The phone system cannot be reached.",
  "trunk-refused": "The phone system refused the call.",
  overload: "All lines are in use. Try again in a moment.",
  shutdown: "The gateway is being restarted.",
  "signaling-lost": "The connection to the gateway was lost.",
  "token-expired": "The call ended because your sign-in has expired.",
  // The page's own: the problem itself is already on the screen.
  "no-microphone": "",
  internal: "Something went wrong inside the gateway.",
};

const ERRORS = {
  "bad-json": "The gateway could not read what this page sent.",
  "bad-message": "The gateway did not understand what this page sent.",
  "too-large": "What this page sent was too large for the gateway.",
  "invalid-text": "The gateway could not read what this page sent.",
  "protocol-error": "The gateway could not read what this page sent.",
  "not-signed-in": "You are not signed in.",
  unauthorized: "The sign-in was not accepted.",
  "token-expired": "Your sign-in has expired.",
  "too-many-attempts": "Too many wrong sign-ins.",
  "wrong-user": "The new link is for another user. This session was not changed.",
  "unknown-call": "The gateway does not know this call any more.",
  "duplicate-call": "This call exists already.",
  "bad-state": "That is not possible at this moment of the call.",
  "dtmf-refused": "The digits were not sent: too many at once, or the call is on hold.",
  "hold-refused": "The phone system refused to change the hold.",
  "too-many-calls": "You have too many calls at once.",
  "unsupported-version": "This page is too old or too new for the gateway. Reload it.",
  "rate-limited": "Too much at once. Wait a moment.",
};

/** A new token that the gateway did not take for the present session. */
const RENEWALS = {
  unauthorized: "The token of the new link is not valid. This session was not changed.",
  "token-expired": "The new link has expired. This session was not changed.",
  "too-many-attempts": "Too many links with a wrong token. Wait a moment before the next one. This session was not changed.",
};

const CONNECTIONS = {
  "connection-lost": "The gateway cannot be reached.",
  "no-welcome": "The gateway does not answer.",
  "no-pong": "The gateway does not answer.",
  shutdown: "The gateway is being restarted.",
  idle: "The gateway closed a quiet connection.",
  error: "The gateway closed the connection.",
  "bad-address": "The address of the gateway is wrong.",
};

const MICROPHONE = {
  NotAllowedError: "The microphone is blocked. Allow it in the browser's address bar, then call again.",
  SecurityError: "The microphone is blocked. Allow it in the browser's address bar, then call again.",
  NotFoundError: "No microphone was found. Plug one in, then call again.",
  OverconstrainedError: "The chosen microphone is gone. Choose another one under Sound.",
  NotReadableError: "The microphone is in use by another program.",
  AbortError: "The microphone could not be started.",
  InsecureContextError: "Browsers give the microphone only to https:// pages and to localhost. Open this page by one of these.",
};

/** What a person reads during a call of which a side is silent; keys as of Call.silences. */
const SILENCES = {
  pbx: "No sound comes from the other side",
  browser: "Your sound does not reach the gateway",
  gateway: "No sound comes from the gateway",
};
const SILENCE_BADGES = { pbx: "Other side silent", browser: "You are not heard", gateway: "No sound arrives" };

export function silenceText(silences) {
  return silences.map((side) => SILENCES[side]).join(". ");
}

export function silenceBadge(silences) {
  return silences.length > 1 ? "Both sides silent" : SILENCE_BADGES[silences[0]];
}

export function transferFailedText(status) {
  return `The transfer failed (SIP ${status}). The call goes on.`;
}

export function drainingText(inCall) {
  const rest = inCall ? "this call may go on for a while" : "calls are possible again in a moment";
  return `The gateway is being restarted: no new calls; ${rest}.`;
}

/** Of a session that ends with its token. */
export const EXPIRING_TEXT = "Your sign-in ends soon, and your calls with it. Open a new link in this tab to go on.";

/** Beside the two above. */
export function leftText(milliseconds) {
  return `Time left: ${Math.ceil(milliseconds / 1000)} s`;
}

/** How people sign in here. `methods`: as of `error`, null where the gateway has not said so. */
export function signInHint({ methods, byToken, user, isGuest, inCall }) {
  const who = user ? `You are signed in as ${isGuest ? "a guest" : user}. ` : "";
  const call = inCall ? " Another sign-in ends the present call." : "";
  return who + (methods ? methodsText(methods) : unknownMethodsText(byToken)) + call;
}

function methodsText(methods) {
  const [password, token, guest] = ["password", "token", "guest"].map((method) => methods.includes(method));
  if (!password && !token) return guest ? "Everybody comes in as a guest." : "This gateway has neither users nor links to sign in with.";
  if (!guest) {
    if (!password) return "A link with a token is needed: open the page by a new link.";
    return `Sign in with your user name and password${token ? ", or open the page by a new link" : ""}.`;
  }
  if (!password) return "Users open the page by a link with a token. Guests need none.";
  return `Users sign in with name and password${token ? ", or open the page by a link" : ""}. Guests need neither.`;
}

function unknownMethodsText(byToken) {
  return byToken ? "Open the page by a new link. Users with a password sign in here." : "Users sign in with name and password.";
}

/** Why the gateway did not take these credentials. */
export function refusedText({ user, password, token }) {
  if (token) return "The token of the link is not valid.";
  if (password) return "The user name or the password is wrong.";
  return user ? `Enter the password of ${user}.` : "This gateway admits no guests.";
}

/** After too many wrong passwords: the page itself does not try again. */
export function mayTryText(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds > 0 ? `You can try again in ${seconds} s.` : "You can try again now.";
}

export function retryText(milliseconds) {
  return `Trying again in ${Math.max(1, Math.ceil(milliseconds / 1000))} s`;
}

/** For a page that is neither https: nor of this machine. */
export function insecureText({ hostname, port }) {
  const local = `http://localhost${port ? `:${port}` : ""}/`;
  return "No calls are possible here: browsers give the microphone only to secure pages, and this one came by http://. "
    + `Open it as https://${hostname}/, or as ${local} on the gateway's own machine.`;
}

/** @param {{reason: string, status?: number, text?: string}} ending */
export function endingText({ reason, status, text, redirectedTo }) {
  if (reason === "redirected" && redirectedTo) return `The other side is reached at ${redirectedTo}.`;
  const words = ENDINGS[reason] ?? ERRORS[reason] ?? (text || `The call ended (${reason}).`);
  // For whoever has to look into it: what the phone system itself said.
  return status >= 400 && !["busy", "declined", "cancelled"].includes(reason) ? `${words} (SIP ${status})` : words;
}

/** Endings that nobody needs to be warned about. */
export function isOrdinaryEnding(reason) {
  return ["hangup-local", "hangup-remote", "cancelled", "answered-elsewhere", "transferred", "redirected", "session-replaced", "no-microphone"].includes(reason);
}

/** Of a session that goes on. */
export function errorText({ code, message }) {
  return RENEWALS[code] ?? ERRORS[code] ?? message ?? `Error: ${code}`;
}

export function connectionText(reason) {
  return CONNECTIONS[reason] ?? ERRORS[reason] ?? "The connection to the gateway was lost.";
}

export function microphoneText(error) {
  return MICROPHONE[error?.name] ?? "The microphone could not be started.";
}
