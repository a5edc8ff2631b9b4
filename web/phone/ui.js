/**
 * The page: shows a Phone and passes on what a person does.
 *
 * Query parameters: `call=echo` fills in a number, `user=alice` signs in by this
 * name, `processing=off` leaves the microphone's sound alone. A JWT comes as
 * `#token=...`, since a fragment is never sent to a server; a new one renews the session.
 * Tests find the telephone as `window.trunkline.phone`.
 */

import { Countdown } from "./countdown.js";
import { fillNumbers, fillQuality, SoundPanel } from "./panels.js";
import { Phone } from "./phone.js";
import { SignInDialog } from "./sign_in.js";
import {
  connectionText, drainingText, endingText, EXPIRING_TEXT, insecureText, isOrdinaryEnding, leftText, retryText, silenceText,
} from "./words.js";

const KEYS = [
  ["1", ""], ["2", "ABC"], ["3", "DEF"],
  ["4", "GHI"], ["5", "JKL"], ["6", "MNO"],
  ["7", "PQRS"], ["8", "TUV"], ["9", "WXYZ"],
  ["*", ""], ["0", "+"], ["#", ""],
];
const SPOKEN = { "*": "* star", "#": "# pound" };
const LONG_PRESS_MILLISECONDS = 600;
/** What only a person can cure, by the sign-in dialog or a new link. */
const SIGN_IN_REFUSALS = ["unauthorized", "token-expired", "too-many-attempts"];

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const fragment = new URLSearchParams(location.hash.slice(1));

const door = new URL("rtc", document.baseURI);
door.protocol = door.protocol === "https:" ? "wss:" : "ws:";
door.search = door.hash = "";

const phone = new Phone({ url: door.href, element: byId("far-end") });
window.trunkline = { phone };

const soundPanel = new SoundPanel(phone, query.get("processing"));
const signIn = new SignInDialog(phone);

/* What a person does */

byId("entry").addEventListener("submit", (event) => {
  event.preventDefault();
  dial(byId("number").value);
});
byId("erase").addEventListener("click", erase);
byId("number").addEventListener("input", render);
byId("answer").addEventListener("click", () => phone.answer().catch(shown));
byId("reject").addEventListener("click", () => phone.reject());
byId("hang-up").addEventListener("click", () => phone.hangUp());
byId("mute").addEventListener("click", () => phone.setMuted(!phone.call?.muted));
byId("hold").addEventListener("click", () => phone.setHold(!phone.call?.holding));
byId("sign-in-open").addEventListener("click", () => signIn.open());
byId("problem-close").addEventListener("click", () => showProblem(""));

// Browsers let a page make sound after a first click or key; a ringing call needs it ready by then.
for (const type of ["pointerdown", "keydown"]) {
  document.addEventListener(type, () => phone.sound.wake(), { once: true, capture: true });
}
document.addEventListener("click", () => {
  const element = byId("far-end");
  if (element.srcObject && element.paused) element.play().catch(shown);
});

/** Failures were already shown by the `problem` event. */
function shown() {}

function dial(number) {
  showProblem("");
  if (!number.trim()) {
    byId("number").focus();
    showProblem("Enter a number first.");
    return;
  }
  phone.dial(number).catch(shown);
}

function press(digit) {
  // Before a call starts to sound, keys have nobody to go to.
  if (phone.call) {
    if (!["in-call", "early-media"].includes(phone.state)) return;
    phone.sendDigits(digit);
  } else {
    byId("number").value += digit;
    render();
  }
  phone.sound.playKey(digit);
}

function erase() {
  const number = byId("number");
  number.value = number.value.slice(0, -1);
  number.focus();
  render();
}

function buildPad() {
  for (const [digit, letters] of KEYS) {
    const key = document.createElement("button");
    key.type = "button";
    key.dataset.digit = digit;
    if (SPOKEN[digit]) key.setAttribute("aria-label", SPOKEN[digit]);
    key.append(digit, Object.assign(document.createElement("small"), { textContent: letters }));
    let longPress = 0;
    let plus = false;
    key.addEventListener("pointerdown", () => {
      plus = false;
      if (digit === "0" && !phone.call) {
        longPress = setTimeout(() => {
          plus = true;
          byId("number").value += "+";
          render();
        }, LONG_PRESS_MILLISECONDS);
      }
    });
    for (const type of ["pointerup", "pointerleave", "pointercancel"]) {
      key.addEventListener(type, () => clearTimeout(longPress));
    }
    key.addEventListener("contextmenu", (event) => event.preventDefault());
    key.addEventListener("click", () => {
      if (!plus) press(digit);
      plus = false;
    });
    byId("pad").append(key);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.defaultPrevented) return;
  if (event.target.closest("input:not([type=checkbox]), select, dialog")) return;
  if (!soundPanel.keysAnywhere && !event.target.closest(".phone")) return;
  if (/^[0-9*#]$/.test(event.key)) {
    event.preventDefault();
    press(event.key);
    const key = byId("pad").querySelector(`[data-digit="${CSS.escape(event.key)}"]`);
    key.classList.add("pressed");
    setTimeout(() => key.classList.remove("pressed"), 150);
  } else if (event.key === "Backspace" && !phone.call) {
    event.preventDefault();
    erase();
  } else if (event.key === "Enter" && event.target === document.body && !phone.call) {
    event.preventDefault();
    dial(byId("number").value);
  }
});

byId("try-now").addEventListener("click", () => phone.signaling.tryNow());
byId("redirect").addEventListener("click", () => dial(phone.lastEnding.redirectedTo));

// A page that goes into the back/forward cache may come back with its call; only one that is left for good hangs up.
addEventListener("pagehide", ({ persisted }) => {
  if (!persisted) phone.hangUp();
});
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) phone.signaling.revive();
});

/* What the phone shows */

phone.addEventListener("change", render);
phone.addEventListener("problem", ({ detail }) => showProblem(detail.text, detail.isOfSession));
phone.addEventListener("connection", ({ detail }) => showConnection(detail));
phone.addEventListener("sign-in-refused", ({ detail }) => signIn.open(detail.text, milliseconds(detail.retryAfter)));
phone.signaling.addEventListener("token-renewed", clearSessionProblem);
phone.addEventListener("ended", ({ detail }) => showEnding(detail));

let problemIsOfSession = false;

function showProblem(text, isOfSession = false) {
  problemIsOfSession = isOfSession;
  byId("problem-text").textContent = text;
  byId("problem").hidden = !text;
}

/** What was wrong in a session, or with a new link for it, means nothing after it. */
function clearSessionProblem() {
  if (problemIsOfSession) showProblem("");
}

function milliseconds(seconds) {
  return seconds === undefined ? undefined : seconds * 1000;
}

const retryCountdown = new Countdown(byId("countdown"));

function showConnection({ state, reason, retryInMilliseconds, retryAfter }) {
  retryCountdown.show(retryInMilliseconds, retryText);
  byId("retry").hidden = retryInMilliseconds === undefined;
  if (state !== "signed-in") clearSessionProblem();
  byId("connection").dataset.state = state;
  const text = byId("connection-text");
  if (state !== "waiting" && state !== "connecting") failed = "";
  if (state === "signed-in") {
    text.textContent = phone.isGuest ? "Ready" : `Ready as ${phone.user}`;
    text.title = `Others reach you as ${phone.user}`;
  } else if (state === "connecting") {
    // A new attempt after a failed one keeps saying what is wrong.
    if (failed) text.textContent = `${failed} Trying again…`;
    else text.textContent = "Connecting…";
  } else if (state === "waiting") {
    failed = connectionText(reason);
    text.textContent = failed;
  } else if (SIGN_IN_REFUSALS.includes(reason)) {
    text.textContent = "Not signed in";
  } else {
    text.textContent = reason === "closed" ? "Not connected" : connectionText(reason);
  }
  const button = byId("sign-in-open");
  button.textContent = state === "signed-in" && !phone.isGuest ? "Account" : "Sign in";
  if (state === "refused" && SIGN_IN_REFUSALS.includes(reason)) signIn.open(phone.refusalText(reason), milliseconds(retryAfter));
  else if (state === "signed-in") signIn.close();
  // The header lies behind the open dialog.
  else if (signIn.isOpen && (failed || state === "refused")) {
    signIn.tell(text.textContent, { milliseconds: retryInMilliseconds, words: retryText });
  }
}

/** What was wrong when the last attempt failed, until one succeeds. */
let failed = "";
let focusAfterCall = false;

function showEnding(ending) {
  const who = ending.name || ending.number || "unknown";
  const missed = ending.direction === "incoming" && !ending.answered && ["cancelled", "no-answer", "hangup-remote"].includes(ending.reason);
  byId("last").textContent = missed ? `Missed call from ${who}.` : endingText(ending);
  byId("last").classList.toggle("serious", !isOrdinaryEnding(ending.reason));
  focusAfterCall = document.activeElement === byId("hang-up") || document.activeElement === document.body;
}

function stateText(call) {
  if (call.state === "in-call") {
    const connection = call.peerConnection?.connectionState;
    if (call.holding) return "On hold";
    if (call.held) return "The other side put you on hold";
    if (connection === "disconnected" || connection === "failed") return "Sound interrupted, waiting for it to come back…";
    if (call.transferring !== null) return "Transferring the call…";
    if (connection !== "connected") return "Connecting the sound…";
    if (call.silences.length > 0) return silenceText(call.silences);
    return call.muted ? "Connected, you are muted" : "Connected";
  }
  return {
    calling: "Calling…",
    ringing: "Ringing…",
    "early-media": "Ringing…",
    accepting: "Answering…",
  }[call.state];
}

/** Writes only what changed: a live region speaks at every write. */
function setText(id, text) {
  const element = byId(id);
  if (element.textContent !== text) element.textContent = text;
}

function showDigits(call) {
  const line = byId("digits");
  line.replaceChildren();
  for (const [caption, digits] of [["Received", call.receivedDigits], ["Sent", call.sentDigits]]) {
    if (!digits) continue;
    const value = Object.assign(document.createElement("b"), { textContent: digits.slice(-24) });
    line.append(line.childNodes.length ? " · " : "", `${caption} `, value);
  }
  line.hidden = line.childNodes.length === 0;
}

function render() {
  const { call, state } = phone;
  const talking = call !== null && state !== "incoming";

  const { ringing } = phone;
  byId("incoming").hidden = !ringing;
  if (ringing) {
    const { name, number } = ringing;
    setText("incoming-who", name ? `${name} (${number})` : number || "Unknown number");
    setText("answer-text", ringing === phone.waiting ? "End and answer" : "Answer");
  }
  document.title = ringing ? "☎ Incoming call" : talking ? `${call.name || call.number} – Trunkline` : "Trunkline phone";

  byId("entry").hidden = talking;
  byId("talking").hidden = !talking;
  byId("last").hidden = talking;
  if (talking) {
    setText("last", "");
    setText("who", call.name || call.number || "Unknown number");
    setText("state", stateText(call));
    showDigits(call);
    byId("mute").setAttribute("aria-pressed", String(call.muted));
    byId("hold").setAttribute("aria-pressed", String(call.holding));
    byId("hold").disabled = state !== "in-call";
  } else {
    setText("state", "");
  }

  const hadFocus = document.activeElement;
  document.body.classList.toggle("in-call", talking);
  byId("call").hidden = talking;
  for (const id of ["mute", "hold", "hang-up"]) byId(id).hidden = !talking;
  // A button that vanishes under the focus hands it to its successor.
  if (talking && (hadFocus === byId("call") || hadFocus === byId("answer") || hadFocus === byId("number"))) byId("hang-up").focus();
  if (!talking && focusAfterCall) {
    focusAfterCall = false;
    byId("call").focus({ preventScroll: true });
  }

  const redirectedTo = talking ? null : phone.lastEnding?.redirectedTo;
  byId("redirect").hidden = !redirectedTo;
  if (redirectedTo) setText("redirect", `Call ${redirectedTo}`);
  const { draining, expiring } = phone;
  byId("notice").hidden = draining === null && expiring === null;
  setText("notice-text", draining !== null ? drainingText(talking) : expiring !== null ? EXPIRING_TEXT : "");
  showTimeLeft(draining !== null ? (talking ? draining : null) : expiring);

  byId("call").disabled = phone.draining !== null || phone.connection !== "signed-in" || state === "incoming";
  byId("erase").disabled = byId("number").value === "";
  fillNumbers(byId("numbers-card"), byId("numbers"), phone, dial);
  fillQuality(phone);
  if (talking) animate();
}

const noticeCountdown = new Countdown(byId("notice-countdown"));
let noticeDue = null;

/** `due` in performance.now(); null where nothing runs down. */
function showTimeLeft(due) {
  if (due === noticeDue) return;
  noticeDue = due;
  noticeCountdown.show(due === null ? undefined : due - performance.now(), leftText);
}

/* Meters and timer run only during a call */

const calm = matchMedia("(prefers-reduced-motion: reduce)");
let animating = false;

function animate() {
  if (animating) return;
  animating = true;
  const step = () => {
    const { call } = phone;
    // What is held or muted is not heard, and so not shown.
    const level = (name, silent) => (silent ? 0 : phone.sound.level(name));
    byId("meter-microphone").style.setProperty("--level", level("microphone", call?.muted || call?.holding));
    byId("meter-far-end").style.setProperty("--level", level("far-end", call?.holding));
    setText("timer", call?.answeredAt ? duration(Date.now() - call.answeredAt) : "");
    animating = call !== null;
    if (!animating) return;
    if (calm.matches) setTimeout(step, 500);
    else requestAnimationFrame(step);
  };
  step();
}

function duration(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

buildPad();
if (!isSecureContext) {
  byId("insecure").textContent = insecureText(location);
  byId("insecure").hidden = false;
}
byId("number").value = query.get("call") ?? "";
const token = fragment.get("token");
// A new link, opened in this tab, renews the session.
addEventListener("hashchange", () => {
  const renewed = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!renewed) return;
  history.replaceState(null, "", location.pathname + location.search);
  phone.useToken(renewed);
});
if (token) history.replaceState(null, "", location.pathname + location.search);
phone.signIn({ ...(token && { token }), ...(query.get("user") && { user: query.get("user") }) });
render();
if (matchMedia("(pointer: fine)").matches) byId("number").focus();
