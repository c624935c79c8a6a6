/** What the page does when a button is pressed: copies numbers, saves a chart as SVG or PNG. Without it the numbers can still be marked and copied by hand. */

/** Plain JavaScript, run by the browser; it reads nothing but the page. */
export const pageScript = `
const say = (button, text) => {
  const before = button.dataset.label ?? button.textContent
  button.dataset.label = before
  button.textContent = text
  setTimeout(() => { button.textContent = before }, 2000)
}
const save = (name, blob) => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}
const copied = async (area) => {
  try {
    await navigator.clipboard.writeText(area.value)
    return true
  } catch {
    const inner = area.closest('details')
    if (inner) inner.open = true
    area.focus()
    area.select()
    return document.execCommand('copy')
  }
}
const drawn = (svg, colour, background) => {
  const copy = svg.cloneNode(true)
  copy.setAttribute('color', colour)
  if (background) copy.style.background = background
  return new Blob([new XMLSerializer().serializeToString(copy)], { type: 'image/svg+xml' })
}
const asPng = async (svg) => {
  const image = new Image()
  const url = URL.createObjectURL(drawn(svg, '#1b1b1b', '#ffffff'))
  image.src = url
  await image.decode()
  const canvas = document.createElement('canvas')
  const { width, height } = svg.viewBox.baseVal
  canvas.width = 2 * width
  canvas.height = 2 * height
  const context = canvas.getContext('2d')
  context.fillStyle = '#ffffff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.drawImage(image, 0, 0, canvas.width, canvas.height)
  URL.revokeObjectURL(url)
  return new Promise((done) => canvas.toBlob(done, 'image/png'))
}
for (const button of document.querySelectorAll('button[data-does]')) button.hidden = false
document.addEventListener('click', async (event) => {
  const button = event.target.closest?.('button[data-does]')
  if (!button) return
  try {
    if (button.dataset.does === 'copy') say(button, (await copied(document.getElementById(button.dataset.of))) ? 'Copied' : 'Marked: press Ctrl+C')
    else {
      const svg = button.closest('figure').querySelector('svg')
      const name = button.dataset.of
      if (button.dataset.does === 'svg') save(name + '.svg', drawn(svg, '#1b1b1b'))
      else save(name + '.png', await asPng(svg))
    }
  } catch {
    say(button, 'Did not work')
  }
})
`
