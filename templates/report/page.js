// Saves drawings as files. Without it the page has everything but these buttons.
"use strict";
(() => {
  const copied = [
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin",
    "stroke-linecap", "opacity", "paint-order", "font-family", "font-size", "font-style",
    "font-weight", "text-decoration-line",
  ];

  // The drawing with the page's colours written into it, on the page's paper.
  function standalone(svg) {
    const copy = svg.cloneNode(true);
    const from = [svg, ...svg.querySelectorAll("*")];
    const to = [copy, ...copy.querySelectorAll("*")];
    from.forEach((element, place) => {
      const style = getComputedStyle(element);
      for (const name of copied) to[place].setAttribute(name, style.getPropertyValue(name));
      to[place].removeAttribute("class");
    });
    const paper = document.createElementNS(svg.namespaceURI, "rect");
    paper.setAttribute("width", "100%");
    paper.setAttribute("height", "100%");
    paper.setAttribute("fill", getComputedStyle(document.body).backgroundColor);
    copy.insertBefore(paper, copy.firstChild);
    return new XMLSerializer().serializeToString(copy);
  }

  function download(blob, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  function picture(text, svg, name) {
    const box = svg.viewBox.baseVal;
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * box.width;
      canvas.height = 2 * box.height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => download(blob, `${name}.png`), "image/png");
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  }

  for (const figure of document.querySelectorAll("[data-drawing]")) {
    const name = figure.dataset.drawing;
    const row = document.createElement("p");
    row.className = "save";
    for (const form of ["SVG", "PNG"]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `Save as ${form}`;
      button.setAttribute("aria-label", `Save as ${form}: ${name}`);
      button.addEventListener("click", () => {
        const shown = [...figure.querySelectorAll("svg")].find((one) => one.getClientRects().length);
        const text = standalone(shown);
        if (form === "PNG") picture(text, shown, name);
        else download(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);
      });
      row.append(button);
    }
    figure.append(row);
  }

  const folded = document.querySelector("nav.top details");
  folded?.addEventListener("click", (event) => {
    if (event.target.closest("a")) folded.open = false;
  });
})();
