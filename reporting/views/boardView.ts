/** The views of the board: all runs, one run, several runs, and a sweep. Figures, tables and lists are those of the report. */
import { formatNumber } from '../../evaluation/tables/tableText.js'
import { runStatuses, type BoardState, type CaptionedTable, type RunView, type View, type SentenceAnswer } from '../board/events.js'
import type { PlottedFigure } from '../figures/figure.js'
import { figureSection, tableRegion, tableSection, taggedText, drawBar, type TextPiece } from '../report/sections.js'
import { html, type Html } from '../text/html.js'
import { plural, percentText } from '../text/units.js'
import {
  leftText,
  progress,
  computeProgress,
  runList,
  runTable,
  formatScore,
  statusText,
  stepsText,
  sweepTable,
  type ListChoices,
} from './lists.js'

/** What the reader has done in the page. */
export type Reader = ListChoices & {
  /** ids of the open parts that are rendered only then */
  readonly open: ReadonlySet<string>
  readonly stopAnswer: string
  readonly sentenceAnswer: Html | null
  readonly isAsking: boolean
}

/** The view's HTML. It changes with the state and with what the reader does. */
export const viewHtml = ({ kind }: View, state: BoardState, reader: Reader): Html => {
  const content = { list: listView, run: runView, compare: compareView, sweep: sweepView }[kind](state, reader)
  const problem = state.board?.problem ?? null
  return html`${problem === null ? null : html`<p role="alert">${problem}</p>`}${kind === 'list' ? null : html`<p><a href="#/">← All runs</a></p>`}${content}`
}

/** The page's title. */
export const viewTitle = ({ run, sweep }: BoardState): string => {
  const name = run?.line.name ?? sweep?.line.name
  return name === undefined ? 'salora board' : `${name} – salora board`
}

/** The figures of a state, in order. */
export const figuresIn = (state: BoardState): readonly PlottedFigure[] =>
  (state.figures?.names ?? []).flatMap((name) => state[`figure ${name}`] ?? [])

const listView = (state: BoardState, reader: Reader): Html => {
  const lines = (state.order ?? []).flatMap((id) => state[`run ${id}`] ?? [])
  const counts = runStatuses.map((status) => ({ status, count: lines.filter((line) => line.status === status).length }))
  const shown = counts.filter(({ count }) => count > 0).map(({ status, count }) => `${formatNumber(count)} ${status}`)
  const { sweeps = [] } = state
  return html`${sweeps.length === 0 ? null : html`<section><h2>Sweeps</h2>${sweepTable(sweeps, true)}</section>`}
<section><h2>${shown.length === 0 ? 'Runs' : `Runs: ${shown.join(', ')}`}</h2>${
    lines.length > 0
      ? runList(lines, reader)
      : state.order === undefined
        ? null
        : html`<p class="quiet">No runs yet. New runs appear here.</p>`
  }</section>`
}

const runView = (state: BoardState, reader: Reader): Html | null => {
  const { run } = state
  if (run === undefined) return null
  if (run === null) return html`<h2>This run does not exist.</h2>`
  const { line, stopObstacle, resume, settings } = run
  const obstacle = stopObstacle === null ? '' : `The board cannot stop it: ${stopObstacle}.`
  const left = line.secondsLeft === null ? '' : `, ${leftText(line.secondsLeft)} left`
  return html`<h2>${line.name}</h2><p>${statusText(line.status)}</p>
<p class="quiet">${[line.reason ?? '', obstacle].filter((text) => text !== '').join(' · ')}</p>
<p class="progress">${progress(computeProgress(line), `${stepsText(line)}${left}`)}</p>
${stopControl(run, reader)}${resume === null ? null : html`<p>Resume with: <code>${resume}</code></p>`}
${factList(run)}${sentenceField(run, reader)}${figureList(state, line.task ?? '', reader)}${(state.tables ?? []).map(tableSection)}
<section><h2>Settings</h2><details id="settings"><summary>${plural(settings.length, 'setting')}</summary>${tableRegion(
    { columns: ['name', 'value'], rows: settings },
    'Settings',
  )}</details></section>`
}

/** A button that stops the run after a confirmation; the dialog focuses its first button. */
const stopControl = ({ stopEffect }: RunView, { stopAnswer }: Reader): Html =>
  html`<div>${
    stopEffect === null
      ? null
      : html`<div class="buttons"><button type="button" class="stop" data-action="ask">Stop this run …</button></div>
<dialog id="confirmation" aria-label="Stop this run?"><h2>Stop this run?</h2><p>${stopEffect}</p><div class="buttons">
<button type="button" data-action="cancel">Cancel</button><button type="button" class="stop" data-action="stop">Stop run</button></div></dialog>`
  }<p role="status">${stopAnswer}</p></div>`

const factList = ({ line, numbers }: RunView): Html => {
  const facts: RunView['numbers'] = [
    ...[['task', line.task ?? ''] as const, ['method', line.method ?? ''] as const],
    ...(line.loss === null ? [] : [['loss', line.loss] as const]),
    ['score', formatScore(line)],
    ...(line.tokensPerSecond === null ? [] : [['tokens/s', line.tokensPerSecond] as const]),
    ...numbers,
  ]
  return html`<dl>${facts
    .filter(([, value]) => value !== '')
    .map(
      ([name, value]) =>
        html`<div><dt>${name}</dt><dd title="${value}">${typeof value === 'number' ? formatNumber(value) : value}</dd></div>`,
    )}</dl>`
}

/** A field to try a sentence, or a pair: the board answers it with the run's adapter. */
const sentenceField = ({ sentence, sentenceObstacle }: RunView, { sentenceAnswer, isAsking }: Reader): Html | null => {
  if (sentence === null)
    return sentenceObstacle === null ? null : html`<section class="card"><p class="quiet">${sentenceObstacle}</p></section>`
  const input = (id: string, hint: string): Html =>
    html`<input type="text" id="${id}" autocomplete="off" required maxlength="5000" placeholder="${hint}">`
  return html`<section class="card sentence"><form id="sentence" class="bar"><label>Try a sentence${input('text', 'The food was superb.')}</label>${
    sentence === 'pair' ? html`<label>Second text${input('text-pair', '')}</label>` : null
  }<button type="submit"${isAsking ? html` disabled` : null}>Try it</button></form><div class="answer" role="status">${sentenceAnswer}</div></section>`
}

/** @param heading a chart does not repeat it */
const figureList = (state: BoardState, heading: string, { open }: Reader): Html | null => {
  const figures = figuresIn(state)
  const problems = state.figures?.problems ?? []
  if (figures.length + problems.length === 0) return null
  const section = (figure: PlottedFigure): Html =>
    figureSection(figure, { heading, draw: () => null, hasNumbers: open.has(`numbers-${figure.name}`) })
  return html`<div id="smoothing"></div>${problems.length === 0 ? null : html`<ul>${problems.map((line) => html`<li>${line}</li>`)}</ul>`}
<div class="figures">${figures.map(section)}</div>`
}

const compareView = (state: BoardState, reader: Reader): Html | null => {
  if (state.compare === undefined) return null
  const { lines, differences } = state.compare
  const tasks = new Set(lines.map(({ task }) => task))
  return html`<h2>Comparison of runs</h2>${runTable(lines, null)}
${figureList(state, tasks.size === 1 ? (lines[0]?.task ?? '') : '', reader)}<section><h2>Settings</h2>${captioned(differences, 'Settings that differ')}</section>`
}

const captioned = (table: CaptionedTable, label: string): readonly Html[] => [
  html`<p>${table.caption}</p>`,
  ...(table.rows.length === 0 ? [] : [tableRegion(table, label)]),
]

const sweepView = ({ sweep }: BoardState, reader: Reader): Html | null => {
  if (sweep === undefined) return null
  if (sweep === null) return html`<h2>This sweep does not exist.</h2>`
  const { line, cells, table } = sweep
  return html`<h2>${line.name}</h2>${sweepTable([line], false)}${
    table === null ? null : html`<section><h2>Table so far</h2>${captioned(table, 'Table so far')}</section>`
  }<section><h2>Runs</h2>${runList(cells, reader)}</section>`
}

/** What the sentence field shows of a prediction, for every type of task. */
type Prediction = NonNullable<SentenceAnswer['prediction']>

type ShownAnswer = {
  /** the answer in large letters; null where the parts of the text are the answer */
  readonly headline: string | null
  /** the classes and their probabilities, the likeliest first */
  readonly classes: readonly (readonly [name: string, score: number])[]
  /** the text in pieces; an entity has its type and score */
  readonly parts: readonly TextPiece[]
}

/** Maximum number of classes in an answer. */
const maxClasses = 8

/** @param text as the model read it */
export const formatAnswer = (text: string, prediction: Prediction): ShownAnswer => {
  const { label, labels, value, similarity, embedding, entities, scores = {} } = prediction
  const classes = Object.entries(scores)
    .sort(([, a], [, b]) => b - a)
    .slice(0, maxClasses)
  const makeAnswer = (headline: string): ShownAnswer => ({ headline, classes, parts: [] })
  if (entities !== undefined)
    return { headline: entities.length === 0 ? 'no entity' : null, classes: [], parts: splitEntities(text, entities) }
  if (similarity !== undefined) return makeAnswer(`cosine ${similarity.toFixed(4)}`)
  if (embedding !== undefined) return makeAnswer(`an embedding of ${embedding.length} numbers`)
  return makeAnswer(label ?? labels?.join(', ') ?? (value === undefined ? '' : String(Number(value.toPrecision(6)))))
}

/** The text between the entities, and the entities, in the order of the text. Places count characters, not UTF-16 units. */
const splitEntities = (text: string, entities: NonNullable<Prediction['entities']>): ShownAnswer['parts'] => {
  const characters = Array.from(text)
  const parts: ShownAnswer['parts'][number][] = []
  let at = 0
  const take = (end: number, entity: ShownAnswer['parts'][number]['entity']): void => {
    if (end > at) parts.push({ text: characters.slice(at, end).join(''), entity })
    at = Math.max(at, end)
  }
  for (const { entity_group: type, score, start, end } of [...entities].sort((a, b) => a.start - b.start)) {
    take(start, null)
    take(end, { type, title: percentText(score) })
  }
  take(characters.length, null)
  return parts
}

/** The answer, a bar for each class, and entities within the text. */
export const answerHtml = (text: string, { message, prediction }: SentenceAnswer): Html => {
  if (prediction === undefined) return html`${message}`
  const { headline, classes, parts } = formatAnswer(text, prediction)
  const bars = classes.map(
    ([name, score]) =>
      html`<div class="class"><span>${name}</span>${drawBar({ share: score, baseline: null })}<span>${percentText(score)}</span></div>`,
  )
  const types = [...new Set(parts.flatMap(({ entity }) => entity?.type ?? []))].sort()
  return html`${headline === null ? null : html`<strong>${headline || 'none'}</strong>`}${bars}${parts.length === 0 ? null : html`<p>${taggedText(parts, types)}</p>`}`
}
