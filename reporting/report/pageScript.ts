/** What the page does when a button is pressed: copies numbers, saves a chart as SVG or PNG. Without it the numbers can still be marked and copied by hand. */
import { copyScript } from './copyScript.js'

/** Plain JavaScript, run by the browser; it reads nothing but the page. */
export const pageScript = `${copyScript}
const save = (name, blob) => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10000)
}
const drawn = (svg, color, background) => {
  const copy = svg.cloneNode(true)
  copy.setAttribute('color', color)
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
    if (button.dataset.does === 'copy') await copyOn(button, document.getElementById(button.dataset.of))
    else {
      const svg = button.closest('figure').querySelector('svg')
      const name = button.dataset.of
      if (button.dataset.does === 'svg') save(name + '.svg', drawn(svg, '#1b1b1b'))
      else save(name + '.png', await asPng(svg))
    }
  } catch {
    tellOn(button, 'Did not work')
  }
})
`
