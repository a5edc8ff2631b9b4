/** The panels beside the phone: built-in numbers, quality of both sides, sound settings. */

import { listDevices } from "./audio.js";
import { verdict } from "./statistics.js";
import { silenceBadge } from "./words.js";

const GRADES = { good: "Good", fair: "Fair", poor: "Poor" };
const STORAGE_KEY = "trunkline.sound";

/** One button for each number the gateway answers itself; rebuilt only when the list changes. */
export function fillNumbers(card, list, phone, dial) {
  const disabled = phone.call !== null || phone.connection !== "signed-in";
  const shown = JSON.stringify(phone.numbers);
  if (list.dataset.shown !== shown) {
    list.dataset.shown = shown;
    list.replaceChildren(
      ...phone.numbers.map(({ number, description }) => {
        const button = document.createElement("button");
        button.type = "button";
        button.append(number, Object.assign(document.createElement("small"), { textContent: description ?? "" }));
        button.addEventListener("click", () => dial(number));
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
  }
  card.hidden = phone.numbers.length === 0;
  for (const button of list.querySelectorAll("button")) button.disabled = disabled;
}

const FORMATS = {
  codec: (value) => value,
  roundTripMs: (value) => `${Math.round(value)} ms`,
  jitterMs: (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`,
  lossIn: percent,
  lossOut: percent,
};

function percent(fraction) {
  const value = fraction * 100;
  return `${value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1)} %`;
}

/** Both sides of the call; the browser's own numbers, the gateway's for the telephone side. */
export function fillQuality(phone) {
  const sides = { browser: phone.browserStatistics, pbx: phone.call?.gatewayStatistics?.pbx };
  const any = phone.call !== null && phone.state !== "incoming" && (sides.browser || sides.pbx);
  document.getElementById("quality").hidden = !any;
  document.getElementById("quality-empty").hidden = Boolean(any);
  // Figures of a path that carries nothing look perfect: silence and interruption come first.
  const silences = phone.call?.silences ?? [];
  const interrupted = ["disconnected", "failed"].includes(phone.peerConnection?.connectionState);
  const grade = interrupted || silences.length > 0 ? "silent" : any && phone.call.hears ? verdict(sides.browser, sides.pbx) : null;
  const badge = document.getElementById("verdict");
  badge.dataset.grade = grade ?? "none";
  badge.textContent = grade === "silent" ? (interrupted ? "Interrupted" : silenceBadge(silences)) : (GRADES[grade] ?? "");
  for (const cell of document.querySelectorAll("#quality td[data-field]")) {
    const value = sides[cell.dataset.side]?.[cell.dataset.field];
    const text = value === null || value === undefined ? "–" : FORMATS[cell.dataset.field](value);
    if (cell.textContent !== text) cell.textContent = text;
  }
}

/** Choice of microphone and speaker, voice processing, number keys; remembered in this browser. */
export class SoundPanel {
  #phone;
  #microphone = document.getElementById("microphone");
  #speaker = document.getElementById("speaker");
  #processing = document.getElementById("processing");
  #keyboard = document.getElementById("keyboard");
  #remembered;

  /**
   * @param {import("./phone.js").Phone} phone
   * @param {?string} processing "off" or "on" overrides what is remembered
   */
  constructor(phone, processing) {
    this.#phone = phone;
    this.#remembered = recall();
    this.#processing.checked = processing ? processing !== "off" : this.#remembered.processing !== false;
    this.#keyboard.checked = this.#remembered.keyboard !== false;
    phone.setMicrophone({ microphone: this.#remembered.microphone ?? "", processing: this.#processing.checked });
    if (this.#remembered.speaker) phone.setSpeaker(this.#remembered.speaker);
    document.getElementById("speaker-field").hidden = !phone.sound.speakerChoice;

    this.#microphone.addEventListener("change", () => {
      this.#remember({ microphone: this.#microphone.value });
      phone.setMicrophone({ microphone: this.#microphone.value });
    });
    this.#processing.addEventListener("change", () => {
      this.#remember({ processing: this.#processing.checked });
      phone.setMicrophone({ processing: this.#processing.checked });
    });
    this.#speaker.addEventListener("change", () => {
      this.#remember({ speaker: this.#speaker.value });
      phone.setSpeaker(this.#speaker.value);
    });
    this.#keyboard.addEventListener("change", () => this.#remember({ keyboard: this.#keyboard.checked }));

    navigator.mediaDevices?.addEventListener?.("devicechange", () => this.#refresh());
    // Devices have names only once the microphone was allowed.
    phone.addEventListener("microphone", () => this.#refresh());
    this.#refresh();
  }

  /** Number keys work wherever the focus is. */
  get keysAnywhere() {
    return this.#keyboard.checked;
  }

  async #refresh() {
    const { microphones, speakers } = await listDevices();
    fillDevices(this.#microphone, microphones, "Standard microphone", this.#remembered.microphone);
    fillDevices(this.#speaker, speakers, "Standard speaker", this.#remembered.speaker);
  }

  #remember(change) {
    Object.assign(this.#remembered, change);
    try {
      localStorage.setItem(STORAGE_KEY, JSON.stringify(this.#remembered));
    } catch {
      // Private windows may refuse storage; the choice then lasts as long as the page.
    }
  }
}

function recall() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY)) ?? {};
  } catch {
    return {};
  }
}

function fillDevices(select, devices, standard, chosen) {
  const options = [new Option(standard, "")];
  for (const { deviceId, label } of devices) {
    // Before permission there is one nameless entry; "default" is the standard entry already.
    if (deviceId && deviceId !== "default" && label) options.push(new Option(label, deviceId));
  }
  select.replaceChildren(...options);
  if (chosen && options.some(({ value }) => value === chosen)) select.value = chosen;
}
