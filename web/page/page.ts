/** The page: it asks for a model, data and settings, shows the worker's events, and offers what a run left. */
import { curvesIn, progressIn } from './progress.js'
import { selectedDevice, showMachine } from './devices.js'
import { makeButton, byId, make, makeTable } from './elements.js'
import type { DataSummary } from 'salora/web'
import { saveFile } from '../../reporting/page/charts.js'
import type { ModelChoice, Request, Response, RunRequest, StoredRun } from './messages.js'

const ask = (request: Request): void => worker.postMessage(request)

const readField = (id: string): string => byId<HTMLInputElement>(id).value.trim()
const curves = curvesIn(byId('charts'))
const progress = progressIn(curves)
/** data: the file that is chosen · run: the run whose events are shown · stored: the runs of this browser */
let [data, run, stored, trains]: [File | null, string, readonly StoredRun[], boolean] = [null, '', [], false]
let isMachineShown = false

const showError = (message: string | null): void => {
  const line = byId('error')
  line.hidden = message === null
  line.textContent = message ?? ''
  if (message !== null) line.scrollIntoView({ block: 'nearest' })
}

const setTrains = (now: boolean): void => {
  trains = now
  byId<HTMLButtonElement>('start').disabled = now || data === null
  byId<HTMLButtonElement>('stop').disabled = !now
  for (const button of document.querySelectorAll<HTMLButtonElement>('#runs button, #try button, #downloads button')) button.disabled = now
}

const modelChoice = (): ModelChoice => {
  const chosen = document.querySelector<HTMLInputElement>('input[name=model]:checked')?.value
  if (chosen === 'hub') return { kind: 'hub', id: readField('hub') }
  if (chosen !== 'folder') return { kind: 'embedded' }
  const files = [...(byId<HTMLInputElement>('folder').files ?? [])]
  return { kind: 'folder', name: files[0]?.webkitRelativePath.split('/')[0] ?? 'folder', files }
}

const columns = (): RunRequest['task'] => ({ text: readField('text') || 'text', label: readField('label') || 'label' })

const settings = (): RunRequest['settings'] =>
  ({
    method: readField('method'),
    precision: readField('precision'),
    device: selectedDevice(),
    epochs: Number(readField('epochs')),
    batchSize: Number(readField('batchSize')),
    ...(readField('learningRate') === '' ? {} : { learningRate: Number(readField('learningRate')) }),
    maxLength: Number(readField('maxLength')),
    saveSteps: 25,
    evalFolds: 0, // five more models take too long in a tab
  }) as RunRequest['settings']

/** A name that no run of this browser has. */
const newName = (file: string, method: string): string => {
  const base = `${file.replace(/\.\w+$/, '').replace(/[^\w-]+/g, '-') || 'data'}-${method}`
  for (let number = 1; ; number++) if (!stored.some(({ name }) => name === `${base}-${number}`)) return `${base}-${number}`
}

const begin = (request: RunRequest): void => {
  showError(null)
  run = request.name
  progress.begin(request.name)
  for (const id of ['try', 'downloads']) byId(id).hidden = true
  setTrains(true)
  navigator.storage.persist().catch(() => false)
  ask({ kind: 'start', run: request })
}

/** The model of a stored run. A folder of this computer must be chosen again: a page may not open it by itself. */
const storedModel = (path: string): ModelChoice => {
  const choice = modelChoice()
  const name = path.replace('models/', '')
  if (name === 'embedded') return { kind: 'embedded' }
  return choice.kind !== 'folder' && name.includes('--') ? { kind: 'hub', id: name.replace('--', '/') } : choice
}

const resume = ({ name, model, settings: chosen, task }: StoredRun): void => {
  begin({ name, model: storedModel(model), data: null, task, settings: chosen, resume: true })
}

const choose = (file: File): void => {
  showError(null)
  data = file
  byId('summary').textContent = `Reading ${file.name}…`
  ask({ kind: 'inspect', file, task: columns() })
}

const showSummary = ({ rows, classes, words }: DataSummary): void => {
  const count = (number: number): string => number.toLocaleString('en-US')
  byId('summary').replaceChildren(
    make('p', `${data?.name ?? ''}: ${count(rows)} rows. A text has ${words.median} words (median), the longest ${count(words.most)}.`),
    ...(classes.length === 0
      ? []
      : [
          makeTable(
            ['Class', 'Rows'],
            classes.slice(0, 20).map(({ name, rows: of }) => [name, count(of)]),
          ),
        ]),
  )
  setTrains(trains)
}

const show = (shown: StoredRun): HTMLLIElement => {
  const { name, step, finished } = shown
  const state = finished ? 'finished' : `stopped after step ${step}`
  const download = (part: 'adapter' | 'run') => () => ask({ kind: 'download', run: name, part })
  return make('li', [
    make('span', `${name}: ${state}`),
    ...(finished || step === 0 ? [] : [makeButton('Resume', () => resume(shown), `Resume ${name}`)]),
    ...(finished ? [makeButton('Download', download('run'), `Download ${name}`)] : []),
    makeButton('Remove', () => ask({ kind: 'remove', run: name }), `Remove ${name}`),
  ])
}

const showRuns = (runs: readonly StoredRun[]): void => {
  stored = runs
  byId('runs').replaceChildren(...(runs.length === 0 ? [make('li', 'None yet.', 'quiet')] : runs.map(show)))
  setTrains(trains)
}

const showPredictions = (predictions: readonly object[]): void => {
  const texts = byId<HTMLTextAreaElement>('texts')
    .value.split('\n')
    .filter((text) => text.trim() !== '')
  const rows = predictions.map((prediction, i) => {
    const { label, score, ...rest } = prediction as { readonly label?: string; readonly score?: number }
    return [texts[i] ?? '', label ?? JSON.stringify(rest), score === undefined ? '' : score.toFixed(3)]
  })
  byId('predictions').replaceChildren(makeTable(['Sentence', 'Class', 'Score'], rows))
}

const answers: { readonly [K in Response['kind']]: (response: Extract<Response, { readonly kind: K }>) => void } = {
  ready: ({ machine }) => {
    if (!isMachineShown) showMachine(machine) // a later worker leaves the visitor's choices
    isMachineShown = true
  },
  runs: ({ runs }) => showRuns(runs),
  summary: ({ summary }) => showSummary(summary),
  model: ({ id, line }) => {
    if (readField('hub') === id) byId('hub-model').textContent = line
  },
  loading: ({ line, share }) => progress.load(line, share),
  event: ({ event }) => {
    progress.add(event)
    if (event.kind !== 'result' || event.result.stepsDone === 0) return
    for (const id of ['try', 'downloads']) byId(id).hidden = false
  },
  ended: () => {
    setTrains(false)
    progress.end()
  },
  predictions: ({ predictions }) => showPredictions(predictions),
  download: ({ name, bytes }) => saveFile(name, new Blob([bytes], { type: name.endsWith('.html') ? 'text/html' : 'application/zip' })),
  error: ({ where, message }) => {
    if (where === 'look') byId('hub-model').textContent = ''
    if (where === 'inspect') {
      data = null
      byId('summary').replaceChildren()
      setTrains(trains)
    }
    if (where === 'start') {
      worker.terminate()
      worker = newWorker()
    }
    showError(message)
  },
}

const newWorker = (): Worker => {
  const opened = new Worker('worker.js', { type: 'module' })
  opened.addEventListener('message', ({ data: response }: MessageEvent<Response>) => {
    const answer = answers[response.kind] as (response: Response) => void
    answer(response)
  })
  // a file that does not load gives an event without a message
  opened.addEventListener('error', ({ message }: Partial<ErrorEvent>) =>
    showError(
      message === undefined ? 'worker.js did not load. Check the connection, then reload the page' : `The worker ended: ${message}`,
    ),
  )
  return opened
}

/** Another one after a run that failed: a card that was lost, or memory that WebAssembly took, stays so as long as its worker. */
let worker = newWorker()

byId('run').addEventListener('submit', (event) => {
  event.preventDefault()
  if (data === null || trains) return
  const chosen = settings()
  const name = newName(data.name, String(chosen.method))
  begin({ name, model: modelChoice(), data, task: columns(), settings: chosen, resume: false })
})
byId('stop').addEventListener('click', () => {
  ask({ kind: 'stop' })
  progress.say('Stopping after this step…')
})
for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=model]'))
  radio.addEventListener('change', () => {
    for (const field of document.querySelectorAll<HTMLElement>('[data-for]')) field.hidden = field.dataset['for'] !== radio.value
  })
byId('hub').addEventListener('change', () => {
  const id = readField('hub')
  showError(null)
  byId('hub-model').textContent = id === '' ? '' : 'Looking on the hub…'
  if (id !== '') ask({ kind: 'look', id })
})
byId('data').addEventListener('change', () => {
  const [file] = byId<HTMLInputElement>('data').files ?? []
  if (file !== undefined) choose(file)
})
for (const id of ['text', 'label'])
  byId(id).addEventListener('change', () => {
    const [file = data] = byId<HTMLInputElement>('data').files ?? []
    if (file !== null) choose(file)
  })
const drop = byId('drop')
for (const kind of ['dragover', 'dragleave', 'drop'] as const)
  drop.addEventListener(kind, (event) => {
    event.preventDefault()
    drop.classList.toggle('over', kind === 'dragover')
    const [file] = kind === 'drop' ? (event.dataTransfer?.files ?? []) : []
    if (file !== undefined) choose(file)
  })
byId('sample').addEventListener('click', async () => {
  const response = await fetch('sample.jsonl')
  choose(new File([await response.blob()], 'reviews.jsonl'))
})
byId('sentences').addEventListener('submit', (event) => {
  event.preventDefault()
  const texts = readField('texts')
    .split('\n')
    .filter((text) => text.trim() !== '')
  if (texts.length > 0) ask({ kind: 'predict', texts })
})
byId('adapter').addEventListener('click', () => ask({ kind: 'download', run, part: 'adapter' }))
byId('onnx').addEventListener('click', () => ask({ kind: 'export', run }))
byId('report').addEventListener('click', () => ask({ kind: 'report', run }))
byId('folder-of-run').addEventListener('click', () => ask({ kind: 'download', run, part: 'run' }))
document.addEventListener('visibilitychange', () => {
  if (trains && document.hidden) progress.note('This tab is in the background: browsers slow it down there.')
})
if ('serviceWorker' in navigator) navigator.serviceWorker.register('serviceWorker.js').catch(() => undefined)
