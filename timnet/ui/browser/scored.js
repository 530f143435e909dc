// Sentences or labels as buttons, each with its number. Every word is set as text, never read as HTML.

export default function ({ data, parentElement, setStateValue }) {
  const place = parentElement.querySelector(".scored")
  if (!place || !data) return
  const told = JSON.stringify(data.rows)
  if (place.dataset.told !== told) {
    place.dataset.told = told
    place.setAttribute("aria-label", data.name)
    place.classList.toggle("plain", !data.numbered)
    place.replaceChildren(
      ...data.rows.map((row, i) => {
        const item = made("li", "")
        const button = made("button", "row")
        button.type = "button"
        const words = made("span", "text", row.text)
        if (row.word) words.append(made("span", "word", row.word))
        button.append(words, bar(row), made("span", "number", row.probability.toFixed(2)))
        button.onclick = () => {
          const chosen = button.getAttribute("aria-pressed") === "true" ? -1 : i
          press(place, chosen)
          setStateValue("chosen", chosen)
        }
        item.append(button)
        return item
      }),
    )
  }
  press(place, data.chosen)
}

function press(place, chosen) {
  place.querySelectorAll(".row").forEach((row, i) => row.setAttribute("aria-pressed", String(i === chosen)))
}

function bar({ probability, mark, is_high }) {
  const outside = made("span", "bar")
  const filled = made("i", is_high ?? probability >= 0.5 ? "high" : "low")
  filled.style.width = `${Math.round(100 * probability)}%`
  outside.append(filled)
  if (mark !== null) {
    const tick = made("b", "mark")
    tick.style.left = `${100 * mark}%`
    outside.append(tick)
  }
  return outside
}

function made(name, kind, text = "") {
  const element = document.createElement(name)
  element.className = kind
  element.textContent = text
  return element
}
