// One film on its canvas: where it lies, how grey it is, what is drawn over it.

const START = { level: 0.5, width: 1, inverted: false, zoom: 1, x: 0, y: 0, turns: 0, flipped: false }
const CENTIMETRES = [10, 5, 2, 1, 0.5, 0.2, 0.1]
const OUTLINE = "#ff8c3c"
const DIRECTIONS = { R: "right", L: "left", A: "front", P: "back", H: "head", F: "feet" }
const EDGES_OF_A_FILM = { left: [-1, 0], top: [0, -1], right: [1, 0], bottom: [0, 1] }

class Pane {
  constructor(element) {
    this.element = element
    this.canvas = element.querySelector("canvas")
    this.context = this.canvas.getContext("2d", { alpha: false })
    this.greys = document.createElement("canvas")
    this.over = document.createElement("canvas")
    this.table = new Uint32Array(GREYS)
    this.view = { ...START }
    this.part = (name) => element.querySelector(name)
  }

  /** Take a film; one that is there already keeps its view. */
  take(film) {
    this.element.hidden = !film
    const known = this.film && film && this.film.id === film.id
    this.film = film
    if (!film) return
    this.canvas.setAttribute("aria-label", film.alt)
    this.canvas.dataset.rows = film.rows
    this.canvas.dataset.columns = film.columns
    this.part(".title").textContent = film.title
    this.part(".title").hidden = !film.title
    this.outlines = film.masks.map((mask) => ({ ...mask, path: contour(mask, 0.5) }))
    this.contours = null
    if (known) return
    this.view = { ...START }
    this.usual = usualRange(film.pixels)
    this.greys.width = film.columns
    this.greys.height = film.rows
    this.image = new ImageData(film.columns, film.rows)
    this.words = new Uint32Array(this.image.data.buffer)
    this.greyAs = ""
  }

  /** Give the canvas as many points as its place has; tell whether that changed it. */
  fitted() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2)
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio))
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio))
    if (width === this.canvas.width && height === this.canvas.height) return false
    this.canvas.width = width
    this.canvas.height = height
    return true
  }

  /** Return canvas points a film pixel, the whole film being in view at zoom 1. */
  scale() {
    const sideways = this.view.turns % 2 !== 0
    const across = sideways ? this.film.rows : this.film.columns
    const down = sideways ? this.film.columns : this.film.rows
    return Math.min(this.canvas.width / across, this.canvas.height / down) * this.view.zoom
  }

  /** Return the matrix from film pixels to canvas points. */
  matrix() {
    const { view, film, canvas } = this
    return new DOMMatrix()
      .translate(canvas.width * (0.5 + view.x), canvas.height * (0.5 + view.y))
      .scale(view.flipped ? -1 : 1, 1)
      .rotate(90 * view.turns)
      .scale(this.scale())
      .translate(-film.columns / 2, -film.rows / 2)
  }

  /** Draw the film, its map and its outlines as they are asked for now. */
  draw(over) {
    if (!this.film || this.element.hidden) return
    const { view, film, context } = this
    const asked = `${view.level} ${view.width} ${view.inverted}`
    if (asked !== this.greyAs) {
      fillGreys(this.table, view.level, view.width, view.inverted)
      const { words, table } = this
      const { pixels } = film
      for (let i = 0; i < words.length; i++) words[i] = table[pixels[i]]
      this.greys.getContext("2d").putImageData(this.image, 0, 0)
      this.greyAs = asked
    }
    const matrix = this.matrix()
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.fillStyle = "#000"
    context.fillRect(0, 0, this.canvas.width, this.canvas.height)
    context.setTransform(matrix)
    // Greatly enlarged, pixels are shown as they are.
    context.imageSmoothingEnabled = this.scale() < 6
    context.drawImage(this.greys, 0, 0)
    if (film.map && over.shown) this.drawMap(over)
    for (const outline of this.outlines) this.line(outline.path, outline, OUTLINE)
    context.setTransform(matrix)
    for (const [left, top, width, height] of film.boxes) {
      context.lineWidth = 2 / this.scale()
      context.strokeStyle = OUTLINE
      context.strokeRect(left, top, width, height)
    }
    this.marks(matrix)
  }

  drawMap(over) {
    const { map } = this.film
    const asked = `${over.colours} ${over.threshold}`
    if (asked !== this.mapAs || map !== this.mapOf) {
      this.over.width = map.columns
      this.over.height = map.rows
      const image = new ImageData(map.columns, map.rows)
      paintMap(image, map.values, over.stops[over.colours], over.threshold)
      this.over.getContext("2d").putImageData(image, 0, 0)
      this.mapAs = asked
      this.mapOf = map
      this.contours = null
    }
    const { context, film } = this
    context.imageSmoothingEnabled = true
    context.globalAlpha = over.opacity
    context.drawImage(this.over, 0, 0, film.columns, film.rows)
    context.globalAlpha = 1
    if (!over.contours) return
    this.contours ??= [0.25, 0.5, 0.75].map((level) => contour(map, 255 * level))
    for (const path of this.contours) this.line(path, map, "#fff")
  }

  /** Draw a line given in another grid's pixels over the film, two points wide whatever the zoom. */
  line(path, grid, colour) {
    const { context, film } = this
    const matrix = this.matrix().scale(film.columns / grid.columns, film.rows / grid.rows)
    const fitted = new Path2D()
    fitted.addPath(path, matrix)
    context.setTransform(1, 0, 0, 1, 0, 0)
    for (const [width, ink] of [[4, "#000a"], [2, colour]]) {
      context.lineWidth = width
      context.strokeStyle = ink
      context.stroke(fitted)
    }
    context.setTransform(this.matrix())
  }

  /** Put the patient's sides, the scale and the warning where the film now lies. */
  marks(matrix) {
    const { film, view } = this
    this.part(".warning").hidden = !view.flipped
    this.edges = {}
    for (const [edge, [x, y]] of Object.entries(EDGES_OF_A_FILM)) {
      const [across, down] = [matrix.a * x + matrix.c * y, matrix.b * x + matrix.d * y]
      const along = across ** 2 > down ** 2 ? [across, "left", "right"] : [down, "top", "bottom"]
      this.edges[film.sides[edge]] = along[0] < 0 ? along[1] : along[2]
    }
    for (const [letter, name] of Object.entries(DIRECTIONS)) {
      const part = this.part(`.${name}`)
      // Head up goes without saying.
      const upright = this.edges.H === "top" && "HF".includes(letter)
      part.hidden = !this.edges[letter] || upright
      part.dataset.edge = this.edges[letter]
      part.textContent = this.mark(letter)
    }
    const mm = (view.turns % 2 ? film.row_mm : film.column_mm) || 0
    this.part(".scale").hidden = !mm
    if (!mm) return
    const pixels = (this.scale() * this.canvas.clientWidth) / this.canvas.width
    const most = this.canvas.clientWidth / 3
    const length = CENTIMETRES.find((cm) => ((10 * cm) / mm) * pixels <= most) ?? 0.1
    this.part(".scale i").style.width = `${((10 * length) / mm) * pixels}px`
    this.part(".scale b").textContent = `${length} cm at the detector`
  }

  /** Return how a direction is written: with a question mark where the film does not state it. */
  mark(letter) {
    return this.film.sides.stated ? letter : `${letter}?`
  }

  /** Return a place on the canvas element, in shares of the film. */
  place(event) {
    const box = this.canvas.getBoundingClientRect()
    const point = new DOMPoint(
      ((event.clientX - box.left) * this.canvas.width) / box.width,
      ((event.clientY - box.top) * this.canvas.height) / box.height,
    ).matrixTransform(this.matrix().inverse())
    return [point.x / this.film.columns, point.y / this.film.rows]
  }

  /** Show the cross at a share of the film, or nowhere. */
  cross(place) {
    const mark = this.part(".cross")
    const inside = place && place.every((share) => share >= 0 && share <= 1)
    mark.hidden = !inside || !this.film
    if (mark.hidden) return
    const point = new DOMPoint(place[0] * this.film.columns, place[1] * this.film.rows).matrixTransform(this.matrix())
    mark.style.left = `${(point.x * this.canvas.clientWidth) / this.canvas.width}px`
    mark.style.top = `${(point.y * this.canvas.clientHeight) / this.canvas.height}px`
  }

  /** Zoom by a factor; what lies under the point (from the middle, in shares of the canvas) stays there. */
  zoom(factor, [across, down] = [0, 0]) {
    const zoom = Math.min(Math.max(this.view.zoom * factor, 0.5), 32)
    const real = zoom / this.view.zoom
    this.view.x = across - (across - this.view.x) * real
    this.view.y = down - (down - this.view.y) * real
    this.view.zoom = zoom
  }
}
