/** What a run says as it trains: how often the kept step is right, how far it is, its loss, its warnings, and the verdict at the end. */
import type { FinetuneEvent } from 'salora/web'
import { byId, make, makeButton } from './elements.js'
import type { Curves } from './curves.js'

export type Progress = {
  readonly begin: (run: string) => void
  readonly add: (event: FinetuneEvent) => void
  /** steps, evaluations and expected ranks before the checkpoint of a resumed run */
  readonly addPast: (events: readonly FinetuneEvent[]) => void
  readonly say: (line: string) => void
  /** a download: what it says, and its share of a file (null: not known) */
  readonly load: (line: string, share: number | null) => void
  /** adds a line to the messages */
  readonly note: (line: string) => void
  readonly end: () => void
}

/** What a visitor can do about a model that is no better than always giving one answer. */
export type Remedies = { readonly balance: () => void; readonly trainLonger: () => void }

/** The most messages that are shown, and warnings. */
const [mostMessages, mostWarnings] = [200, 5]

type OfKind<K extends FinetuneEvent['kind']> = Extract<FinetuneEvent, { readonly kind: K }>

/** What is known of the run that is shown. msPerStep: of the last steps · kept: the best evaluation, or the last one if none was best */
type Shown = {
  readonly name: string
  steps: number
  ended: boolean
  last: number
  msPerStep: number
  kept: OfKind<'evaluation'> | null
  facts: OfKind<'ready'> | null
}

const say = (line: string): void => {
  byId('status').textContent = line
}

const note = (line: string): void => {
  const list = byId('messages')
  list.append(make('li', line))
  if (list.childElementCount > mostMessages) list.firstElementChild?.remove()
}

const warn = (message: string): void => {
  note(`Warning: ${message}`)
  const list = byId('warnings')
  if (list.childElementCount < mostWarnings) list.append(make('li', message))
}

/** share: from 0 to 1; null: not known */
const setBar = (share: number | null, of: string): void => {
  const bar = byId<HTMLProgressElement>('bar')
  bar.setAttribute('aria-label', of)
  if (share === null) bar.removeAttribute('value')
  else bar.value = share
}

const showNumbers = (numbers: Readonly<Record<string, string>>): void =>
  byId('numbers').replaceChildren(
    ...Object.entries(numbers).map(([title, value]) => make('div', [make('dt', title), make('dd', [make('b', value)])])),
  )

/** Accuracy if the task has it, else the metric that selects the checkpoint. */
const mainScore = ({ scores }: OfKind<'evaluation'>, selectedBy: string | undefined): readonly [name: string, value: number] => {
  const name = 'accuracy' in scores ? 'accuracy' : (selectedBy ?? Object.keys(scores)[0] ?? 'score')
  return [name, scores[name] ?? NaN]
}

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

const seconds = (ms: number): string => (ms < 90_000 ? `${Math.max(1, Math.round(ms / 1000))} s` : `${Math.round(ms / 60_000)} min`)

const showScore = ({ kept, facts }: Shown): void => {
  const majority = facts?.majority ?? null
  if (kept === null) {
    byId('score').textContent = '–'
  } else {
    const [name, value] = mainScore(kept, facts?.selectedBy)
    byId('score-title').textContent =
      name === 'accuracy' ? `Right on ${facts?.examples.evaluation ?? ''} sentences it never saw` : `${name}, on rows it never saw`
    byId('score').textContent = name === 'accuracy' ? percent(value) : value.toFixed(3)
  }
  byId('guess').textContent = majority === null ? '' : `always answering “${majority.label}”: ${percent(majority.share)}`
}

const showStep = (shown: Shown, { step, taskLoss }: OfKind<'step'>): void => {
  const now = performance.now()
  if (shown.last > 0) {
    const took = now - shown.last
    shown.msPerStep = shown.msPerStep === 0 ? took : 0.9 * shown.msPerStep + 0.1 * took
  }
  shown.last = now
  const { steps, msPerStep } = shown
  showNumbers({
    Step: `${step} / ${steps}`,
    Left: step === steps || msPerStep === 0 ? '–' : seconds((steps - step) * msPerStep),
    Loss: taskLoss.toFixed(3),
  })
  setBar(step / Math.max(1, steps), 'Steps done')
  if (step % 10 === 1 || step === steps) say(`Training ${shown.name}: step ${step} of ${steps}`)
}

const showEvaluation = (shown: Shown, event: OfKind<'evaluation'>): void => {
  if (event.best || shown.kept === null || !shown.kept.best) shown.kept = event
  showScore(shown)
  shown.last = performance.now() // its time is not a step's
  note(
    `Step ${event.step}: ${Object.entries(event.scores)
      .map(([of, value]) => `${of} ${value.toFixed(4)}`)
      .join(', ')}`,
  )
}

/** One sentence on the kept step, amber if guessing is as good. */
const showVerdict = (shown: Shown, { result }: OfKind<'result'>, remedies: Remedies): void => {
  const { kept, facts } = shown
  const line = byId('verdict')
  const [name, value] = kept === null ? ['', NaN] : mainScore(kept, facts?.selectedBy)
  const rows = facts?.examples.evaluation ?? 0
  const majority = facts?.majority ?? null
  line.hidden = name !== 'accuracy' || result.stepsDone === 0
  if (line.hidden) return
  const isPoor = majority !== null && value <= majority.share
  const guessing = majority === null ? '' : `; always answering “${majority.label}”: ${percent(majority.share)}`
  line.classList.toggle('poor', isPoor)
  line.replaceChildren(`${Math.round(value * rows)} of ${rows} unseen rows right, ${percent(value)}${guessing}. `)
  if (!isPoor) return
  line.append('It has learned no more than the most frequent answer. ')
  const isUneven = majority.share > 2 / 3 && !byId<HTMLInputElement>('balance').checked
  line.append(
    isUneven
      ? makeButton('Balance the classes and train again', remedies.balance)
      : makeButton('Train twice as long', remedies.trainLonger),
  )
}

const showResult = (shown: Shown, event: OfKind<'result'>, remedies: Remedies): void => {
  const { kept, interrupted, stepsDone, ranks } = event.result
  shown.ended = true
  if (new Set(Object.values(ranks ?? {})).size > 1)
    for (const [matrix, rank] of Object.entries(ranks ?? {})) note(`${matrix}: rank ${rank}`)
  showVerdict(shown, event, remedies)
  say(
    interrupted
      ? `Stopped after step ${stepsDone}; it can be resumed.`
      : `Finished; the adapter is that of step ${kept?.step ?? stepsDone}.`,
  )
}

const show = (shown: Shown, event: FinetuneEvent, remedies: Remedies): void => {
  if (event.kind === 'preparing') {
    say(`${event.what.charAt(0).toUpperCase()}${event.what.slice(1)}…`)
    note(event.what)
  }
  if (event.kind === 'warning') warn(event.message)
  if (event.kind === 'ready') {
    shown.facts = event
    showScore(shown)
  }
  if (event.kind === 'start') {
    shown.steps = event.steps
    setBar(event.resumedAt / Math.max(1, event.steps), 'Steps done')
    if (event.announcement !== null) note(event.announcement)
    say(event.resumedAt > 0 ? `Resumed after step ${event.resumedAt} of ${event.steps}` : 'Preparing the first step…')
  }
  if (event.kind === 'phase') note(`Step ${event.step}: ${event.line}`)
  if (event.kind === 'evaluation') showEvaluation(shown, event)
  if (event.kind === 'step') showStep(shown, event)
  if (event.kind === 'result') showResult(shown, event, remedies)
}

const newRun = (name: string): Shown => ({ name, steps: 0, ended: false, last: 0, msPerStep: 0, kept: null, facts: null })

export const progressIn = (curves: Curves, remedies: Remedies): Progress => {
  let shown: Shown = { ...newRun(''), ended: true }
  return {
    begin: (name) => {
      shown = newRun(name)
      curves.clear()
      showScore(shown)
      showNumbers({})
      for (const id of ['messages', 'warnings']) byId(id).replaceChildren()
      byId('verdict').hidden = true
      setBar(0, 'Steps done')
      say('Loading the model…')
    },
    add: (event) => {
      curves.add(event)
      show(shown, event, remedies)
    },
    addPast: (events) => {
      for (const event of events) {
        curves.add(event)
        if (event.kind === 'evaluation') showEvaluation(shown, event)
      }
    },
    say,
    load: (line, share) => {
      setBar(share, 'Share of the file')
      say(line)
    },
    note,
    end: () => {
      if (!shown.ended) say('The run ended.')
    },
  }
}
