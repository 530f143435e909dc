// One film on its canvas: where it lies, how grey it is, what is drawn over it.

const START = { level: 0.5, width: 1, inverted: false, zoom: 1, x: 0, y: 0, turns: 0, flipped: false }
const GLASS = { factor: 2.5, radius: 0.17 }
const LINE = "#7fe3f5"
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
    this.lines = []
    this.pen = [0.5, 0.5]
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
    this.lines = []
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
    this.drawFilm(matrix, over)
    for (const outline of this.outlines) this.line(outline.path, outline, OUTLINE)
    context.setTransform(matrix)
    for (const [left, top, width, height] of film.boxes) {
      context.lineWidth = 2 / this.scale()
      context.strokeStyle = OUTLINE
      context.strokeRect(left, top, width, height)
    }
    if (this.glass) this.drawGlass(matrix, over)
    this.lines.forEach((line, i) => this.drawRuler(line, i, matrix))
    this.marks(matrix)
  }

  /** Draw the film and its map where a matrix puts them. */
  drawFilm(matrix, over) {
    const { context, film } = this
    context.setTransform(matrix)
    // Greatly enlarged, pixels are shown as they are.
    context.imageSmoothingEnabled = this.scale() < 6
    context.drawImage(this.greys, 0, 0)
    if (film.map && over.shown) this.drawMap(over)
  }

  /** Draw what lies under the magnifier, enlarged around its middle. */
  drawGlass(matrix, over) {
    const { context, canvas, glass } = this
    const contours = { ...over, contours: false }
    context.save()
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.beginPath()
    context.arc(glass.x, glass.y, GLASS.radius * Math.min(canvas.width, canvas.height), 0, 2 * Math.PI)
    context.clip()
    context.fillStyle = "#000"
    context.fillRect(0, 0, canvas.width, canvas.height)
    const larger = new DOMMatrix().translate(glass.x, glass.y).scale(GLASS.factor).translate(-glass.x, -glass.y)
    this.drawFilm(larger.multiply(matrix), contours)
    context.restore()
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.lineWidth = 2
    context.strokeStyle = LINE
    context.stroke()
  }

  /** Draw one measured line with its length. */
  drawRuler(line, i, matrix) {
    const { context, film } = this
    const [from, to] = line.map(([x, y]) => new DOMPoint(x * film.columns, y * film.rows).matrixTransform(matrix))
    const path = new Path2D()
    path.moveTo(from.x, from.y)
    path.lineTo(to.x, to.y)
    context.setTransform(1, 0, 0, 1, 0, 0)
    context.font = `${Math.round((14 * this.canvas.width) / this.canvas.clientWidth)}px sans-serif`
    for (const [width, ink] of [[5, "#000a"], [2, LINE]]) {
      context.lineWidth = width
      context.strokeStyle = ink
      context.stroke(path)
    }
    context.lineWidth = 4
    context.strokeStyle = "#000"
    context.fillStyle = LINE
    context.strokeText(this.length(line), to.x + 8, to.y - 8)
    context.fillText(this.length(line), to.x + 8, to.y - 8)
  }

  /** Begin a line at a share of the film; the last two are kept. */
  begin(place) {
    this.lines = [...this.lines.slice(-1), [place, place]]
    this.pen = place
    this.drawing = true
  }

  /** Put the other end of the line that is being drawn at a share of the film. */
  drawTo(place) {
    this.pen = place
    if (this.drawing) this.lines.at(-1)[1] = place
  }

  /** Let go of the line; one without a length is none. */
  end() {
    if (this.drawing && this.lines.at(-1).every((place, i, [first]) => place.join() === first.join())) this.lines.pop()
    this.drawing = false
  }

  /** Move the pen by an arrow key. */
  move([across, down], step) {
    const inside = (share) => Math.min(Math.max(share, 0), 1)
    this.drawTo([inside(this.pen[0] + step * across), inside(this.pen[1] + step * down)])
  }

  /** Begin a line at the pen, or end the one that is being drawn. */
  turn() {
    if (this.drawing) this.end()
    else this.begin(this.pen)
  }

  /** Return how long a line is in millimetres, or in shares of the film's width where no size is stated. */
  long([from, to]) {
    const { columns, rows, column_mm, row_mm } = this.film
    const [across, down] = [(to[0] - from[0]) * columns, (to[1] - from[1]) * rows]
    return row_mm ? Math.hypot(across * column_mm, down * row_mm) : Math.hypot(across, down) / columns
  }

  length(line) {
    const long = this.long(line)
    return this.film.row_mm ? `${long.toFixed(long < 20 ? 1 : 0)} mm` : `${Math.round(100 * long)} % of the width`
  }

  /** Return in words what was measured. */
  measured() {
    if (!this.lines.length) return ""
    const words = ` Measured: ${this.lines.map((line) => this.length(line)).join(", ")}`
    const [short, long] = this.lines.map((line) => this.long(line)).sort((one, other) => one - other)
    return `${words}${long ? `; ratio ${(short / long).toFixed(2)}` : ""}.`
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

  /** Return a place on the canvas element, in its points. */
  point(event) {
    const box = this.canvas.getBoundingClientRect()
    return new DOMPoint(
      ((event.clientX - box.left) * this.canvas.width) / box.width,
      ((event.clientY - box.top) * this.canvas.height) / box.height,
    )
  }

  /** Return a place on the canvas element, in shares of the film. */
  place(event) {
    const point = this.point(event).matrixTransform(this.matrix().inverse())
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
