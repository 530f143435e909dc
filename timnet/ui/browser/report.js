// A report by its sections, the words of a search marked. Every word is set as text, never read as HTML.

export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".report")
  if (!place || !data) return
  const made = (name, text) => {
    const element = document.createElement(name)
    element.textContent = text
    return element
  }
  place.replaceChildren(
    ...data.sections.flatMap(({ title, pieces }) => {
      const body = document.createElement("p")
      body.append(...pieces.map(([text, found]) => (found ? made("mark", text) : text)))
      return title ? [made("h2", title), body] : [body]
    }),
  )
}
