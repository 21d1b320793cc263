// Shared by all components: elements of this component, and the choice of one of its tiles.
const find = (selector) => element.querySelector(selector);

function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
  node.append(...children);
  return node;
}

function pick(chosen) {
  props.value = { ...props.value, chosen };
  trigger("pick");
}
