/** The sign-in dialog. The password is kept in memory only; the name is the browser's to remember. */

export class SignInDialog {
  #phone;
  #dialog = document.getElementById("sign-in");
  #problem = document.getElementById("sign-in-problem");
  #user = document.getElementById("user");
  #password = document.getElementById("password");

  constructor(phone) {
    this.#phone = phone;
    this.#user.value = new URLSearchParams(location.search).get("user") ?? "";
    document.getElementById("sign-in-form").addEventListener("submit", (event) => {
      // The dialog stays until the gateway has said yes.
      event.preventDefault();
      this.#sign({ user: this.#user.value.trim(), password: this.#password.value });
    });
    document.getElementById("anonymous").addEventListener("click", () => this.#sign({}));
    document.getElementById("sign-in-cancel").addEventListener("click", () => this.close());
    this.#dialog.addEventListener("close", () => (this.#password.value = ""));
  }

  open(problem = "") {
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
