// Elements. Whatever devices say becomes text nodes or attributes that hold text, never markup.

const LINK = /^[#/]/;

// el("a", {href: "#/fleet", class: "x", onclick: f}, "text", el(…), null)
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "href" && !LINK.test(value)) throw new Error("links stay on this server");
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((each) => each != null && each !== false));
  return made;
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

export function labelled(text, control, attributes = {}) {
  return el("label", attributes, el("span", {}, text), control);
}

// options: [value, text]
export function select(options, value, onchange, attributes = {}) {
  const made = el("select", { ...attributes, onchange: () => onchange(made.value) });
  made.append(...options.map(([each, text]) => el("option", { value: each, selected: each === value }, text)));
  return made;
}

// What `host` has below it becomes `nodes`; what is there already stays, with the reader's place in it.
export function settle(host, nodes) {
  nodes.forEach((node, i) => {
    const there = host.children[i];
    if (!there) host.append(node);
    else if (!there.isEqualNode(node)) there.replaceWith(node);
  });
  while (host.children.length > nodes.length) host.lastElementChild.remove();
}

export function note(text, attributes = {}) {
  return el("p", { class: "note", ...attributes }, text);
}
