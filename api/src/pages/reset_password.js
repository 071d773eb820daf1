// Takes the code from the link of the letter into the form, and out of the address and the history.
"use strict";

const code = document.getElementById("code");
const password = document.getElementById("new_password");
const again = document.getElementById("again");

function takeCode() {
  const found = /^#code=(thp_[A-Za-z0-9_-]+)$/.exec(location.hash);
  if (found === null) return;
  code.value = found[1];
  history.replaceState(null, "", location.pathname);
  showCode(false);
  password.focus();
}

// A code that came with the link needs nobody's eyes.
function showCode(shown) {
  document.getElementById("code-row").hidden = !shown;
}

function compare() {
  again.setCustomValidity(again.value === password.value ? "" : "The two passwords are not the same.");
}

takeCode();
addEventListener("hashchange", takeCode);
password.addEventListener("input", compare);
again.addEventListener("input", compare);
