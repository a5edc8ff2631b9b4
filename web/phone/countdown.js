/**
 * Seconds that run down in an element. The element stands outside live regions: a screen reader
 * would otherwise speak every second.
 */
export class Countdown {
  #element;
  #timer = 0;

  constructor(element) {
    this.#element = element;
  }

  /**
   * Shows the element with `words(milliseconds that are left)` until the time is over; then `over`
   * is called, and the element stays as it is. Without `milliseconds` the element is hidden.
   */
  show(milliseconds, words, over = () => {}) {
    clearInterval(this.#timer);
    this.#element.hidden = milliseconds === undefined;
    if (milliseconds === undefined) return;
    const due = performance.now() + milliseconds;
    const step = () => {
      const left = Math.max(0, due - performance.now());
      this.#write(words(left));
      if (left > 0) return;
      clearInterval(this.#timer);
      over();
    };
    this.#timer = setInterval(step, 250);
    step();
  }

  #write(text) {
    if (this.#element.textContent !== text) this.#element.textContent = text;
  }
}
