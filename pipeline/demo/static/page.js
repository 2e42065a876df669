// Sends the forms without leaving the page, so that the picture stays chosen, and accepts dropped pictures.
"use strict";

const input = document.querySelector("#image");
const drop = document.querySelector(".drop");

function show(answer, ...parts) {
  answer.replaceChildren(...parts);
  answer.removeAttribute("aria-busy");
}

function problem(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "problem";
  paragraph.setAttribute("role", "alert");
  paragraph.textContent = text;
  return paragraph;
}

async function ask(form, answer) {
  const response = await fetch(form.action, { method: "POST", body: new FormData(form) });
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const shown = page.querySelector("#" + answer.id);
  return shown ? shown.childNodes : page.querySelectorAll(".problem");
}

for (const form of document.querySelectorAll("form[data-answer]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = document.querySelector("#" + form.dataset.answer);
    const button = form.querySelector("button");
    const file = form.querySelector("input[type=file]")?.files[0];
    if (file && file.size > input.dataset.maxBytes) {
      show(answer, problem(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB. Choose a smaller picture.`));
      return;
    }
    button.disabled = true;
    answer.setAttribute("aria-busy", "true");
    try {
      show(answer, ...(await ask(form, answer)));
    } catch {
      show(answer, problem("The demo did not answer. Check that it still runs and that the picture can still be read."));
    }
    button.disabled = false;
  });
}

if (input) {
  const preview = document.querySelector("#preview");
  preview.addEventListener("error", () => { preview.hidden = true; });
  input.addEventListener("change", () => {
    const file = input.files[0];
    URL.revokeObjectURL(preview.src);
    preview.hidden = !file;
    if (file) {
      preview.src = URL.createObjectURL(file);
      document.querySelector("#chosen").textContent = file.name;
    }
  });
  for (const name of ["dragover", "drop"]) {
    // A picture that is dropped beside the box must not replace the page.
    document.addEventListener(name, (event) => event.preventDefault());
  }
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change"));
    }
  });
}
