/** How a page copies numbers: through the clipboard or, where a browser has none to give, marked for the reader's own Ctrl+C. */

/** Plain JavaScript, of the report's page and of the board's. */
export const copyScript = `
const tellOn = (button, text) => {
  const before = button.dataset.label ?? button.textContent
  button.dataset.label = before
  button.textContent = text
  setTimeout(() => { button.textContent = before }, 2000)
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
const copyOn = async (button, area) => tellOn(button, (await copied(area)) ? 'Copied' : 'Marked: press Ctrl+C')
`
