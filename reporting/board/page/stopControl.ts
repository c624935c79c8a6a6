/** A button that stops a run after a confirmation, and the board's answer. */
import type { Answer, RunView } from '../events.js'
import { request } from './connection.js'
import { make, setText } from './elements.js'

export const stopControl = (id: string) => {
  const button = make('button', { type: 'button', className: 'stop', textContent: 'Stop this run …', hidden: true })
  const answer = make('p', { role: 'status' })
  const { dialog, effect } = confirmation(async () => {
    setText(answer, 'Stopping …')
    setText(answer, await stopRun(id))
  })
  button.addEventListener('click', () => dialog.showModal())
  return {
    element: make('div', {}, make('div', { className: 'buttons' }, button), answer, dialog),
    show: ({ stopEffect }: RunView): void => {
      button.hidden = stopEffect === null
      setText(effect, stopEffect ?? '')
      if (stopEffect === null && dialog.open) dialog.close()
    },
  }
}

const stopRun = async (id: string): Promise<string> => {
  try {
    const headers = { 'Content-Type': 'application/json' }
    const response = await request('stop', { method: 'POST', headers, body: JSON.stringify({ id }) })
    return ((await response.json()) as Answer).message
  } catch {
    return 'The connection to the board is lost. The run may still be running.'
  }
}

const confirmation = (onConfirm: () => Promise<void>) => {
  const effect = make('p')
  const stop = make('button', { type: 'button', className: 'stop', textContent: 'Stop run' })
  const cancel = make('button', { type: 'button', textContent: 'Cancel' })
  const dialog = make(
    'dialog',
    { ariaLabel: 'Stop this run?' },
    make('h2', { textContent: 'Stop this run?' }),
    effect,
    make('div', { className: 'buttons' }, cancel, stop), // the dialog focuses its first button
  )
  cancel.addEventListener('click', () => dialog.close())
  stop.addEventListener('click', () => {
    dialog.close()
    void onConfirm()
  })
  return { dialog, effect }
}
