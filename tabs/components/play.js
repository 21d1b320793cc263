// Shared by the components with something to play: a range slider `.play input` and a button `.play button`.
// `show(t)` gets the slider's value. Where motion is to be reduced, a press of the button goes one step on.
const still = matchMedia("(prefers-reduced-motion: reduce)");

class Player {
  constructor(show, { seconds, back = false, settled = () => {} }) {
    [this.show, this.seconds, this.back, this.settled] = [show, seconds, back, settled];
    this.slider = find(".play input");
    this.button = find(".play button");
    this.frame = 0; // of the animation, 0 while nothing plays
    this.slider.addEventListener("input", () => {
      this.stop();
      this.show(this.value);
    });
    this.slider.addEventListener("change", () => this.settled());
    this.button.addEventListener("click", () => {
      if (this.frame) this.stop();
      else if (still.matches) this.step();
      else this.start();
      if (!this.frame) this.settled();
    });
    const label = () => {
      this.button.textContent = still.matches ? "Next step" : this.frame ? "Pause" : "Play";
    };
    this.label = label;
    still.addEventListener("change", () => this.stop());
    label();
  }
  get value() {
    return Number(this.slider.value);
  }
  get last() {
    return Number(this.slider.max);
  }
  go(value) { // to a place, without "settled"
    this.slider.value = value;
    this.show(this.value);
  }
  step() {
    const next = this.value + Number(this.slider.dataset.stride ?? 1);
    this.go(this.value >= this.last ? 0 : Math.min(next, this.last));
  }
  start() {
    const from = this.value >= this.last && !this.back ? 0 : this.value / this.last;
    let began = 0;
    const draw = (now) => {
      began ||= now - 1000 * from * this.seconds;
      const done = (now - began) / (1000 * this.seconds);
      const t = this.back ? 1 - Math.abs(1 - (done % 2)) : Math.min(done, 1);
      this.go(t * this.last);
      if (!this.back && t === 1) {
        this.stop();
        this.settled();
      } else if (!element.isConnected) this.stop();
      else this.frame = requestAnimationFrame(draw);
    };
    this.frame = requestAnimationFrame(draw);
    this.label();
  }
  stop() {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.label();
  }
}
