/** Copies numbers to the clipboard. Without a clipboard, selects them for Ctrl+C. */

/** Shows `text` on the button for two seconds. */
export const showFeedback = (button: HTMLButtonElement, text: string): void => {
  const label = button.dataset['label'] ?? button.textContent ?? ''
  button.dataset['label'] = label
  button.textContent = text
  setTimeout(() => {
    button.textContent = label
  }, 2000)
}

/** Copies the content of the text area, and shows on the button whether this succeeded. */
export const copyFrom = async (area: HTMLTextAreaElement, button: HTMLButtonElement): Promise<void> =>
  showFeedback(button, (await copy(area)) ? 'Copied' : 'Selected: press Ctrl+C')

const copy = async (area: HTMLTextAreaElement): Promise<boolean> => {
  try {
    await navigator.clipboard.writeText(area.value)
    return true
  } catch {
    const details = area.closest('details')
    if (details !== null) details.open = true
    area.focus()
    area.select()
    return document.execCommand('copy') // deprecated, and the only way on a page without a secure context
  }
}
