// A click on an example sets `chosen` to its label and triggers "pick".
element.addEventListener("click", (event) => {
  const label = event.target.closest("[data-label]")?.dataset.label;
  if (label) pick(label);
});
