/**
 * What the page does: it follows the board's stream, shows what it is told, and asks to stop a run. Text is only ever set as text. Plain JavaScript,
 * run by the browser; the key is kept where pages of this address alone can read it, and goes into a header, never into an address.
 */
import { copyScript } from '../../report/copyScript.js'
import { elementsScript } from './elementsScript.js'
import { figuresScript } from './figuresScript.js'
import { partsScript } from './partsScript.js'
import { runListScript } from './runListScript.js'
import { viewsScript } from './viewsScript.js'

const asking = `
const main = document.getElementById('main')
const status = document.getElementById('status')

// the key: from the address that the terminal printed, once
const keyName = 'salora-board'
const takeKey = () => {
  const given = /^#key=([0-9a-f]{64})$/.exec(location.hash)
  if (!given) return false
  localStorage.setItem(keyName, given[1])
  history.replaceState(null, '', '#/')
  return true
}
takeKey()
const asked = (path, options = {}) =>
  fetch(path, { ...options, cache: 'no-store', headers: { ...options.headers, Authorization: 'Bearer ' + (localStorage.getItem(keyName) ?? '') } })

const say = (text, isBad = false) => {
  if (status.textContent !== text) status.textContent = text
  status.className = isBad ? 'bad' : ''
}
`

const stream = `
const views = { list: listView, run: runView, compare: compareView, sweep: sweepView }
const viewIn = (hash) => {
  const [, kind = '', rest = ''] = /^#\\/(run|compare|sweep)\\/([0-9a-f,]+)$/.exec(hash) ?? []
  return kind === '' ? { kind: 'list', ids: [] } : { kind, ids: rest.split(',').slice(0, compareLimit) }
}
let following = null
const silence = 35000
const follow = async () => {
  following?.abort()
  const own = new AbortController()
  following = own
  const { kind, ids } = viewIn(location.hash)
  document.title = 'salora board'
  const show = views[kind](ids)
  let wait = 1000
  while (!own.signal.aborted) {
    const once = new AbortController()
    const end = () => once.abort()
    own.signal.addEventListener('abort', end)
    let timer = setTimeout(end, silence)
    try {
      const query = new URLSearchParams([['view', kind], ...ids.map((id) => ['id', id])])
      const response = await asked('live?' + query, { signal: once.signal })
      if (response.status === 403) {
        say('This address has no key of the board: it was started again, or never opened here. Open the address that it printed.', true)
        return
      }
      if (!response.ok) throw new Error((await response.json()).line)
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
      const parts = {}
      let text = ''
      for (;;) {
        const { done, value } = await reader.read()
        if (done) break
        clearTimeout(timer)
        timer = setTimeout(end, silence)
        text += value
        const messages = text.split('\\n\\n')
        text = messages.pop()
        for (const message of messages) {
          if (!message.startsWith('data: ')) continue
          const changed = JSON.parse(message.slice(6))
          Object.assign(parts, changed)
          if (own.signal.aborted) return
          show(parts, changed)
          wait = 1000
          say('live')
        }
      }
      throw new Error('')
    } catch (thrown) {
      if (own.signal.aborted) return
      const line = thrown instanceof Error && /^expected/.test(thrown.message) ? thrown.message : 'The board does not answer'
      say(line + ': trying again. What is shown is as it was.', true)
    } finally {
      clearTimeout(timer)
      own.signal.removeEventListener('abort', end)
    }
    await new Promise((done) => setTimeout(done, wait))
    wait = Math.min(10000, 1.5 * wait)
  }
}
addEventListener('hashchange', () => {
  takeKey()
  void follow().catch((error) => say(String(error), true))
  main.focus()
  scrollTo(0, 0)
})
void follow().catch((error) => say(String(error), true))
`

export const boardScript = [
  "'use strict'",
  asking,
  elementsScript,
  copyScript,
  figuresScript,
  runListScript,
  partsScript,
  viewsScript,
  stream,
].join('\n')
