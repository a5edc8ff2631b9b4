/** The sign-in dialog. The password is kept in memory only; the name is the browser's to remember. */

export class SignInDialog {
  #phone;
  #dialog = document.getElementById("sign-in");
  #problem = document.getElementById("sign-in-problem");
  #hint = document.getElementById("sign-in-hint");
  #user = document.getElementById("user");
  #password = document.getElementById("password");

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
    document.getElementById("anonymous").addEventListener("click", () => this.#sign({}));
    document.getElementById("sign-in-cancel").addEventListener("click", () => this.close());
    this.#dialog.addEventListener("close", () => (this.#password.value = ""));
  }

  get isOpen() {
    return this.#dialog.open;
  }

  open(problem = "") {
    const { guestsRefused } = this.#phone;
    document.getElementById("anonymous").hidden = guestsRefused;
    this.#password.required = guestsRefused;
    this.#hint.textContent = guestsRefused
      ? "A user name and its password are needed: this gateway admits no guests."
      : "Users sign in with name and password. Guests need neither, where the gateway admits them.";
    if (this.#phone.call) this.#hint.textContent += " Another sign-in ends the present call.";
    this.#problem.textContent = problem;
    this.#problem.hidden = !problem;
    if (!this.#dialog.open) this.#dialog.showModal();
    (this.#user.value ? this.#password : this.#user).focus();
  }

  close() {
    if (this.#dialog.open) this.#dialog.close();
  }

  #sign(credentials) {
    this.#problem.hidden = true;
    this.#phone.signIn(credentials);
  }
}
