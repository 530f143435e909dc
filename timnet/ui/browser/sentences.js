// Sentences of a report as buttons, each with its match. Every word is set as text, never read as HTML.

export default function ({ data, parentElement, setStateValue }) {
  const place = parentElement.querySelector(".sentences")
  if (!place || !data) return
  const told = JSON.stringify(data.rows)
  if (place.dataset.told === told) return
  place.dataset.told = told
  const made = (name, kind, text = "") => {
    const element = document.createElement(name)
    element.className = kind
    element.textContent = text
    return element
  }
  const buttons = data.rows.map(({ text, probability }) => {
    const button = made("button", "sentence")
    const bar = made("span", "bar")
    const filled = made("i", probability < 0.5 ? "low" : "high")
    filled.style.width = `${Math.round(100 * probability)}%`
    bar.append(filled)
    button.type = "button"
    button.setAttribute("aria-pressed", "false")
    button.append(made("span", "text", text), bar, made("span", "number", probability.toFixed(2)))
    return button
  })
  buttons.forEach((button, i) => {
    button.onclick = () => {
      const chosen = button.getAttribute("aria-pressed") !== "true"
      for (const each of buttons) each.setAttribute("aria-pressed", String(chosen && each === button))
      setStateValue("chosen", chosen ? i : -1)
    }
  })
  place.replaceChildren(
    ...buttons.map((button) => {
      const item = made("li", "")
      item.append(button)
      return item
    }),
  )
}
