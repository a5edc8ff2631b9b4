/** The sign-in dialog. The password is kept in memory only; the name is the browser's to remember. */

import { Countdown } from "./countdown.js";
import { mayTryText, signInHint } from "./words.js";

export class SignInDialog {
  #phone;
  #dialog = document.getElementById("sign-in");
  #problem = document.getElementById("sign-in-problem");
  #hint = document.getElementById("sign-in-hint");
  #fields = document.getElementById("sign-in-fields");
  #user = document.getElementById("user");
  #password = document.getElementById("password");
  #submit = document.getElementById("sign-in-submit");
  #countdown = new Countdown(document.getElementById("sign-in-countdown"));
  /** The user whose credentials the gateway does not look at for the moment, or null. */
  #waitingUser = null;

  constructor(phone) {
    this.#phone = phone;
    this.#user.value = new URLSearchParams(location.search).get("user") ?? "";
    document.getElementById("sign-in-form").addEventListener("submit", (event) => {
      // The dialog stays until the gateway has said yes.
      event.preventDefault();
      // A name without a password is a guest's: an empty password would be a wrong one.
      const password = this.#password.value;
      this.#sign({ user: this.#user.value.trim(), ...(password && { password }) });
    });
    this.#user.addEventListener("input", () => this.#allow());
    document.getElementById("anonymous").addEventListener("click", () => this.#sign({}));
    document.getElementById("sign-in-cancel").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => (this.#password.value = ""));
  }

  get isOpen() {
    return this.#dialog.open;
  }

  /**
   * @param {string} problem why the last sign-in did not succeed
   * @param {number} [waitMilliseconds] until the gateway looks at credentials of this user again
   */
  open(problem = "", waitMilliseconds) {
    const phone = this.#phone;
    const { methods } = phone;
    const isSignedIn = phone.connection === "signed-in";
    // Unknown methods: everything is offered, and the gateway says what it does not take.
    this.#fields.hidden = this.#submit.hidden = methods !== null && !methods.includes("password");
    this.#user.disabled = this.#password.disabled = this.#fields.hidden;
    document.getElementById("anonymous").hidden = phone.guestsRefused || (isSignedIn && phone.isGuest);
    this.#password.required = phone.guestsRefused;
    this.#hint.textContent = signInHint({
      methods,
      byToken: phone.isByToken,
      user: isSignedIn ? phone.user : null,
      isGuest: phone.isGuest,
      inCall: phone.call !== null,
    });
    this.tell(problem);
    if (waitMilliseconds !== undefined) this.#wait(waitMilliseconds);
    if (!this.#dialog.open) this.#dialog.showModal();
    if (!this.#fields.hidden) (this.#user.value ? this.#password : this.#user).focus();
  }

  /** What is wrong, in the open dialog, and when the page tries again by itself, if it does. */
  tell(problem, retry) {
    this.#problem.textContent = problem;
    this.#problem.hidden = !problem;
    if (this.#waitingUser === null) this.#countdown.show(retry?.milliseconds, retry?.words);
  }

  /** The gateway let somebody in. */
  close() {
    this.#endWait();
    if (this.#dialog.open) this.#dialog.close();
  }

  #wait(milliseconds) {
    this.#waitingUser = this.#user.value.trim();
    this.#allow();
    this.#countdown.show(milliseconds, mayTryText, () => {
      this.#waitingUser = null;
      this.#allow();
    });
  }

  #endWait() {
    this.#waitingUser = null;
    this.#allow();
    this.#countdown.show();
  }

  /** Another user may try meanwhile. */
  #allow() {
    this.#submit.disabled = this.#waitingUser !== null && this.#waitingUser === this.#user.value.trim();
  }

  #sign(credentials) {
    this.#endWait();
    this.tell("");
    this.#phone.signIn(credentials);
  }
}
