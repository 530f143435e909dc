// Films as they come from the server, and what is worked out of their numbers: greys, histogram, contours.

const GREYS = 65536

/** Return the header of a message, its arrays of numbers put in the places that name them. */
function unpacked(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
  const start = 4 + length
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)))
  // A copy, because 16-bit numbers must start at an even place.
  const part = ({ at, size }) => bytes.slice(start + at, start + at + size)
  for (const film of header.films) {
    film.pixels = new Uint16Array(part(film.pixels).buffer)
    if (film.map) film.map.values = part(film.map.values)
    for (const mask of film.masks) mask.values = part(mask.values)
  }
  return header
}

/** Return the greys below which 0.5 % and 99.5 % of a film lie, as shares of its range. */
function usualRange(pixels) {
  const counts = new Uint32Array(1024)
  for (let i = 0; i < pixels.length; i++) counts[pixels[i] >> 6]++
  const end = (share) => {
    let left = share * pixels.length
    let at = 0
    while (at < 1023 && left >= counts[at]) left -= counts[at++]
    return at / 1023
  }
  const low = end(0.005)
  return [low, Math.max(end(0.995), low + 0.01)]
}

/** Fill a table grey -> colour for a window of `width` round `level`, both shares of the film's range. */
function fillGreys(table, level, width, inverted) {
  const low = (level - width / 2) * (GREYS - 1)
  const step = 255 / (width * (GREYS - 1))
  for (let grey = 0; grey < GREYS; grey++) {
    let shown = (grey - low) * step + 0.5
    shown = shown < 0 ? 0 : shown > 255 ? 255 : shown | 0
    if (inverted) shown = 255 - shown
    table[grey] = 0xff000000 | (shown << 16) | (shown << 8) | shown
  }
}

/** Return the colour at a share of the way along some stops. */
function between(stops, share) {
  const at = share * (stops.length - 1)
  const lower = Math.min(Math.floor(at), stops.length - 2)
  return stops[lower].map((value, i) => value + (at - lower) * (stops[lower + 1][i] - value))
}

/** Paint a map: strength 0..255 is both colour and cover, nothing where there is none or too little. */
function paintMap(image, values, stops, threshold) {
  const colours = new Uint32Array(256)
  for (let value = 1; value < 256; value++) {
    if (value / 255 < threshold) continue
    const [red, green, blue] = between(stops, value / 255)
    const cover = Math.round(255 * Math.sqrt(value / 255))
    colours[value] = ((cover << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0
  }
  const target = new Uint32Array(image.data.buffer)
  for (let i = 0; i < values.length; i++) target[i] = colours[values[i]]
}

// Marching squares: per corner pattern, the edges (0 top, 1 right, 2 bottom, 3 left) that a line joins.
const EDGES = [
  [], [[3, 2]], [[2, 1]], [[3, 1]], [[0, 1]], [[3, 0], [2, 1]], [[0, 2]], [[3, 0]],
  [[3, 0]], [[0, 2]], [[3, 2], [0, 1]], [[0, 1]], [[3, 1]], [[2, 1]], [[3, 2]], [],
]

/** Return the line along which a grid of values passes a level, in pixels of the grid. */
function contour({ values, rows, columns }, level) {
  const path = new Path2D()
  const at = (row, column) =>
    row < 0 || column < 0 || row >= rows || column >= columns ? 0 : values[row * columns + column]
  const cut = (from, to) => (level - from) / (to - from)
  // One cell beyond every side, so that what reaches the edge is closed there.
  for (let row = -1; row < rows; row++) {
    for (let column = -1; column < columns; column++) {
      const a = at(row, column)
      const b = at(row, column + 1)
      const c = at(row + 1, column + 1)
      const d = at(row + 1, column)
      const lines = EDGES[(a > level) * 8 + (b > level) * 4 + (c > level) * 2 + (d > level)]
      if (!lines.length) continue
      const ends = [
        () => [column + cut(a, b), row],
        () => [column + 1, row + cut(b, c)],
        () => [column + cut(d, c), row + 1],
        () => [column, row + cut(a, d)],
      ]
      for (const [from, to] of lines) {
        const [x, y] = ends[from]()
        path.moveTo(x + 0.5, y + 0.5)
        path.lineTo(...ends[to]().map((value) => value + 0.5))
      }
    }
  }
  return path
}
