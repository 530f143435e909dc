// The viewer: buttons, keys and the pointer change a view; the next frame of the browser draws it.

const BLUE = [[10, 20, 70], [30, 110, 170], [90, 200, 190], [240, 250, 200]]
const AMBER = [[255, 176, 0], [255, 176, 0]]
const PRESETS = { full: [0.5, 1], dark: [0.3, 0.5], bright: [0.7, 0.5] }
const TOOLS = { w: "window", z: "zoom", p: "pan", d: "ruler" }
const ACTS = {
  i: "invert", r: "rotate", l: "back", h: "flip", v: "over", g: "glass", "+": "larger", "-": "smaller", "=": "fit",
  " ": "fit", Backspace: "unline",
}
const NUMBERED = { 1: "full", 2: "auto", 3: "dark", 4: "bright" }
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
const clipped = (value, low, high) => Math.min(Math.max(value, low), high)
const percent = (share) => `${Math.round(100 * share)} %`

class Viewer {
  constructor(root) {
    this.root = root
    this.panes = [...root.querySelectorAll(".pane")].map((element) => new Pane(element))
    this.active = this.panes[0]
    this.tool = "window"
    this.over = { shown: true, opacity: 0.6, threshold: 0, contours: false, colours: "Heat", stops: {} }
    this.redraws = 0
    this.pointers = new Map()
    for (const button of this.all("button[data-tool]")) button.onclick = () => this.choose(button.dataset.tool)
    for (const button of this.all("[data-act]")) button.onclick = () => this.act(button.dataset.act)
    for (const control of this.all("[data-set]")) control.oninput = () => this.set(control)
    for (const pane of this.panes) this.listen(pane)
    this.sizes = new ResizeObserver(() => this.ask())
    for (const pane of this.panes) this.sizes.observe(pane.canvas)
  }

  all(selector) {
    return [...this.root.querySelectorAll(selector)]
  }

  one(selector) {
    return this.root.querySelector(selector)
  }

  take(bytes) {
    const header = unpacked(bytes)
    this.root.style.setProperty("--height", `${header.height}px`)
    this.left = header.leave ?? ""
    this.panes.forEach((pane, i) => pane.take(header.films[i] ?? null))
    if (!this.active.film) this.active = this.panes[0]
    this.one(".pair").hidden = header.films.length < 2
    const mapped = header.films.some((film) => film.map)
    this.one(".map").hidden = !mapped
    if (mapped) {
      this.over.stops = { Heat: header.stops, Ice: BLUE, Amber: AMBER }
      const list = this.one("[data-set=colours]")
      list.replaceChildren(...Object.keys(this.over.stops).map((name) => new Option(name, name)))
      list.value = this.over.colours
      this.legend()
    }
    this.ask()
  }

  /** Return the films that a change is meant for. */
  meant() {
    const linked = this.one("[data-set=linked]").checked
    return this.panes.filter((pane) => pane.film && (linked || pane === this.active))
  }

  ask() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null
      this.draw()
    })
  }

  draw() {
    for (const pane of this.panes) {
      if (!pane.film) continue
      pane.fitted()
      pane.draw(this.over)
    }
    this.redraws += 1
    this.root.dataset.redraws = this.redraws
    this.tell()
  }

  /** Write the state where the eye, the controls and, a little later, a screen reader find it. */
  tell() {
    const { view, film, edges } = this.active
    const inverted = view.inverted ? ", inverted" : ""
    // A turn is told as the eye sees it: behind a flip it goes the other way round.
    const quarters = (((view.flipped ? -view.turns : view.turns) % 4) + 4) % 4
    const turned = quarters ? `, turned ${90 * quarters} degrees` : ""
    const flipped = view.flipped ? ", flipped: left and right are swapped" : ", not flipped"
    const letter = ["R", "A"].find((each) => edges[each])
    const named = { R: "Patient's right", A: "Patient's front" }[letter]
    const placed = letter ? `. ${named} is at the ${edges[letter]} (${this.active.mark(letter)})` : ""
    const noted = film.note ? `. ${film.note}` : ""
    const told = `Greys: level ${percent(view.level)}, width ${percent(view.width)}. Zoom ${view.zoom.toFixed(1)}`
    const words = `${told}${inverted}${turned}${flipped}${placed}${noted}.${this.active.measured()}`
    const status = this.one(".status")
    if (status.textContent === words) return
    status.textContent = words
    clearTimeout(this.telling)
    this.telling = setTimeout(() => (this.one(".live").textContent = words), 400)
    this.one("[data-set=level]").value = 100 * view.level
    this.one("[data-set=width]").value = 100 * view.width
    const preset = Object.keys(PRESETS).find((name) => this.isPreset(PRESETS[name]))
    this.one("[data-set=preset]").value = preset ?? (this.isPreset(this.autoRange()) ? "auto" : "own")
    for (const [act, on] of [["invert", view.inverted], ["flip", view.flipped]]) {
      this.one(`[data-act=${act}]`).setAttribute("aria-pressed", on)
    }
  }

  autoRange() {
    const [low, high] = this.active.usual
    return [(low + high) / 2, high - low]
  }

  isPreset([level, width]) {
    const { view } = this.active
    return Math.abs(view.level - level) < 0.003 && Math.abs(view.width - width) < 0.003
  }

  choose(tool) {
    this.tool = tool
    for (const button of this.all("button[data-tool]")) button.setAttribute("aria-pressed", button.dataset.tool === tool)
  }

  set(control) {
    const { set } = control.dataset
    const value = control.type === "checkbox" ? control.checked : Number(control.value) / 100
    if (set === "preset") {
      this.preset(control.value)
    } else if (set === "level" || set === "width") {
      for (const pane of this.meant()) pane.view[set] = Math.max(value, set === "width" ? 0.01 : 0)
    } else if (set === "colours") {
      this.over.colours = control.value
    } else if (set !== "linked") {
      this.over[set] = value
    }
    this.one("output").textContent = percent(this.over.threshold)
    if (!this.one(".map").hidden) this.legend()
    this.ask()
  }

  preset(name) {
    const [level, width] = PRESETS[name] ?? this.autoRange()
    for (const pane of this.meant()) Object.assign(pane.view, { level, width })
  }

  act(name) {
    if (name === "full") {
      if (document.fullscreenElement) document.exitFullscreen()
      else this.root.requestFullscreen()
      return
    }
    if (name === "glass") {
      this.glass = !this.glass
      this.one("[data-act=glass]").setAttribute("aria-pressed", this.glass)
      for (const pane of this.panes) pane.glass = null
    }
    if (["rotate", "back", "flip", "over"].includes(name)) {
      // Of two different films only the one in use turns: the other is what it is compared with.
      const flipped = !this.active.view.flipped
      for (const { view, film } of this.meant()) {
        if (film.id !== this.active.film.id) continue
        const clockwise = view.flipped ? -1 : 1
        if (name === "rotate") view.turns += clockwise
        else if (name === "back") view.turns -= clockwise
        else view.flipped = flipped
        // Top and bottom swapped is left and right swapped, and half a turn.
        if (name === "over") view.turns += 2
      }
    }
    const inverted = !this.active.view.inverted
    for (const pane of this.meant()) {
      if (name === "larger") pane.zoom(1.25)
      if (name === "smaller") pane.zoom(0.8)
      if (name === "unline") pane.lines.pop()
      if (name === "fit") {
        pane.view = { ...START, inverted: false }
        pane.lines = []
      }
      if (name === "invert") pane.view.inverted = inverted
    }
    this.ask()
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || this.left?.includes(event.key)) return
    const arrow = ARROWS[event.key]
    if (TOOLS[event.key]) this.choose(TOOLS[event.key])
    else if (ACTS[event.key]) this.act(ACTS[event.key])
    else if (NUMBERED[event.key]) {
      this.preset(NUMBERED[event.key])
      this.ask()
    }
    else if (event.key === "Escape") this.choose("window")
    else if (this.tool === "ruler" && (arrow || event.key === "Enter")) {
      const { active } = this
      if (arrow) active.move(arrow, event.shiftKey ? 0.05 : 0.01)
      else active.turn()
      active.cross(active.pen)
      this.ask()
    } else if (arrow) {
      for (const { view } of this.meant()) {
        view.x = clipped(view.x + 0.05 * arrow[0], -2, 2)
        view.y = clipped(view.y + 0.05 * arrow[1], -2, 2)
      }
      this.ask()
    } else return
    // The page has keys of its own.
    event.preventDefault()
    event.stopPropagation()
  }

  listen(pane) {
    const { canvas } = pane
    canvas.onfocus = () => {
      this.active = pane
      this.ask()
    }
    canvas.onkeydown = (event) => this.key(event)
    canvas.ondblclick = () => this.act("fit")
    canvas.oncontextmenu = (event) => event.preventDefault()
    canvas.onpointerdown = (event) => {
      canvas.focus({ preventScroll: true })
      canvas.setPointerCapture(event.pointerId)
      this.pointers.set(event.pointerId, [event.clientX, event.clientY])
      const byButton = { 1: "pan", 2: "zoom" }[event.button]
      this.dragged = byButton ?? (event.shiftKey ? "pan" : this.tool)
      if (this.dragged === "ruler") pane.begin(pane.place(event))
      event.preventDefault()
    }
    canvas.onpointermove = (event) => {
      const last = this.pointers.get(event.pointerId)
      if (last) this.drag(pane, event, last)
      this.cross(pane.film && pane.place(event))
      if (this.glass) this.magnify(pane, event)
    }
    const end = (event) => {
      this.pointers.delete(event.pointerId)
      pane.end()
      this.ask()
    }
    canvas.onpointerup = end
    canvas.onpointercancel = end
    canvas.onpointerleave = () => {
      this.cross(null)
      if (this.glass) this.magnify(null)
    }
    // Until the film has been clicked or reached with Tab, the wheel scrolls the page.
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (canvas.getRootNode().activeElement !== canvas && !event.ctrlKey) return
        event.preventDefault()
        this.zoomAt(pane, event, Math.exp(-clipped(event.deltaY, -200, 200) / 400))
      },
      { passive: false },
    )
  }

  drag(pane, event, last) {
    const box = pane.canvas.getBoundingClientRect()
    const moved = [(event.clientX - last[0]) / box.width, (event.clientY - last[1]) / box.height]
    if (this.pointers.size > 1) {
      const others = [...this.pointers.entries()].filter(([id]) => id !== event.pointerId)
      const [, other] = others[0]
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]) || 1
      this.zoomAt(pane, event, apart([event.clientX, event.clientY]) / apart(last))
    } else if (this.dragged === "zoom") {
      for (const each of this.meant()) each.zoom(Math.exp(-3 * moved[1]))
    } else if (this.dragged === "ruler") {
      pane.drawTo(pane.place(event))
    } else if (this.dragged === "pan") {
      for (const { view } of this.meant()) {
        view.x = clipped(view.x + moved[0], -2, 2)
        view.y = clipped(view.y + moved[1], -2, 2)
      }
    } else {
      for (const { view } of this.meant()) {
        view.width = clipped(view.width + moved[0], 0.01, 1)
        view.level = clipped(view.level + moved[1], 0, 1)
      }
    }
    this.pointers.set(event.pointerId, [event.clientX, event.clientY])
    this.ask()
  }

  zoomAt(pane, event, factor) {
    const box = pane.canvas.getBoundingClientRect()
    const point = [(event.clientX - box.left) / box.width - 0.5, (event.clientY - box.top) / box.height - 0.5]
    for (const each of this.meant()) each.zoom(factor, point)
    this.ask()
  }

  /** Move the magnifier to the pointer, or put it away. */
  magnify(pane, event) {
    for (const each of this.panes) each.glass = each === pane ? each.point(event) : null
    this.ask()
  }

  cross(place) {
    const two = this.panes.every((pane) => pane.film)
    for (const pane of this.panes) pane.cross(two ? place : null)
  }

  legend() {
    const canvas = this.one(".legend canvas")
    const context = canvas.getContext("2d")
    const image = new ImageData(canvas.width, 1)
    const values = Uint8Array.from({ length: canvas.width }, (_, i) => Math.round((255 * i) / (canvas.width - 1)))
    paintMap(image, values, this.over.stops[this.over.colours], this.over.threshold)
    for (let i = 3; i < image.data.length; i += 4) image.data[i] = image.data[i] && 255
    context.fillStyle = "#000"
    context.fillRect(0, 0, canvas.width, canvas.height)
    for (let row = 0; row < canvas.height; row++) context.putImageData(image, 0, row)
  }
}

const viewers = new WeakMap()

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".viewer")
  if (!root || !data) return
  let viewer = viewers.get(root)
  if (!viewer) viewers.set(root, (viewer = new Viewer(root)))
  if (viewer.bytes !== data) {
    viewer.bytes = data
    viewer.take(data)
  }
  return () => viewer.sizes.disconnect()
}
