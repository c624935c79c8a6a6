/** The list of runs, which readers filter, sort and select, and the list of sweeps. */
import { formatNumber } from '../../evaluation/tables/tableText.js'
import { drawSparkline } from '../charts/drawChart.js'
import { compareScores } from '../runs/scores.js'
import { compareLimit, runStatuses, type ListedRun, type RunLine, type RunStatus, type SweepLine } from '../board/events.js'
import { html, type Html } from '../text/html.js'
import { differenceText, durationText, plural, scoreText } from '../text/units.js'

/** What the reader has chosen in a list. */
export type ListChoices = {
  readonly order: { readonly column: string; readonly isDescending: boolean }
  readonly words: string
  readonly status: string
  /** ids of the runs to compare */
  readonly selected: ReadonlySet<string>
}

/** Maximum number of rows: more are slow, and nobody reads them all. */
const rowLimit = 1_000

type SortKey = string | number | null
type Column = { readonly title: string; readonly isNumeric: boolean; readonly toSortKey: (run: RunLine) => SortKey }

const columns: readonly Column[] = [
  { title: 'run', isNumeric: false, toSortKey: ({ name }) => name },
  { title: 'status', isNumeric: false, toSortKey: ({ status }) => runStatuses.indexOf(status) },
  { title: 'step', isNumeric: false, toSortKey: (run) => computeProgress(run) },
  { title: 'time left', isNumeric: true, toSortKey: ({ secondsLeft }) => secondsLeft },
  { title: 'loss', isNumeric: true, toSortKey: ({ loss }) => loss },
  { title: 'score', isNumeric: true, toSortKey: ({ score }) => score?.value ?? null },
  { title: 'tokens/s', isNumeric: true, toSortKey: ({ tokensPerSecond }) => tokensPerSecond },
]

const collator = new Intl.Collator('en', { numeric: true })

const compareKeys = (a: SortKey, b: SortKey): number => {
  if (a === null || b === null) return Number(a === null) - Number(b === null)
  return typeof a === 'string' || typeof b === 'string' ? collator.compare(String(a), String(b)) : a - b
}

/** Equal runs are by task, then by method, the best first. Runs without a value are last, or first in descending order. */
const sorted = (runs: readonly ListedRun[], { column, isDescending }: ListChoices['order']): readonly ListedRun[] => {
  const sortKey = columns.find(({ title }) => title === column)?.toSortKey ?? (() => null)
  const keyed = runs.map((run) => ({
    run,
    key: run.id !== null ? sortKey(run) : column === 'run' ? run.name : column === 'status' ? runStatuses.indexOf(run.status) : null,
  }))
  return keyed.sort((a, b) => (isDescending ? -1 : 1) * compareKeys(a.key, b.key) || compareKinds(a.run, b.run)).map(({ run }) => run)
}

const compareKinds = (a: ListedRun, b: ListedRun): number => {
  if (a.id === null || b.id === null) return 0
  const [ofA, ofB] = [a.score, b.score]
  const isComparable = ofA !== null && ofA.metric === ofB?.metric
  return compareKeys(a.task, b.task) || compareKeys(a.method, b.method) || (isComparable ? compareScores(ofA, ofB.value, ofA.value) : 0)
}

const matches = (run: ListedRun, { words, status }: ListChoices): boolean => {
  const { name, reason } = run
  const text = [name, run.status, reason, ...(run.id === null ? [] : [run.task, run.method])].join(' ').toLowerCase()
  return (
    (status === '' || run.status === status) &&
    words
      .trim()
      .toLowerCase()
      .split(/\s+/)
      .every((word) => text.includes(word))
  )
}

/** The list with its filters. */
export const runList = (runs: readonly ListedRun[], choices: ListChoices): Html => {
  const matching = runs.filter((run) => matches(run, choices))
  const shown = Math.min(rowLimit, matching.length)
  const { size } = choices.selected
  const limit = size > compareLimit ? `Select at most ${compareLimit} runs.` : 'Select at least two runs.'
  const count =
    shown === runs.length
      ? ''
      : shown < matching.length
        ? `The first ${plural(shown, 'run')} of ${matching.length}. Filter them to see others.`
        : `${plural(shown, 'run')} of ${runs.length}`
  return html`<div class="bar"><label>Filter by words<input type="search" id="words" spellcheck="false" autocomplete="off"></label>
<label>Status<select id="status-filter">${['', ...runStatuses].map((status) => html`<option value="${status}">${status || 'all'}</option>`)}</select></label>
<button type="button" id="compare" data-action="compare" title="${limit}"${size < 2 || size > compareLimit ? html` disabled` : null}>${
    size === 0 ? 'Compare runs' : `Compare ${size} runs`
  }</button><p class="quiet">${count}</p></div>
${runTable(sorted(matching, choices.order).slice(0, rowLimit), choices)}`
}

/** @param choices null: the runs are compared with the first of their task, and cannot be sorted or selected */
export const runTable = (runs: readonly ListedRun[], choices: ListChoices | null): Html => {
  const head = columns.map(({ title, isNumeric }) => {
    const numeric = isNumeric ? html` class="n"` : null
    if (choices === null) return html`<th scope="col"${numeric}>${title}</th>`
    const { column, isDescending } = choices.order
    const sort = title === column ? html` aria-sort="${isDescending ? 'descending' : 'ascending'}"` : null
    return html`<th scope="col"${numeric}${sort}><button type="button" data-action="sort" data-column="${title}">${title}</button></th>`
  })
  const pick = choices === null ? null : html`<th scope="col"><span class="unseen">compare</span></th>`
  return html`<table class="list"><thead><tr>${pick}${head}</tr></thead><tbody>${runs.map((run) => runRow(run, choices, choices === null ? findBaseline(runs, run) : null))}</tbody></table>`
}

const findBaseline = (runs: readonly ListedRun[], of: ListedRun): RunLine | null =>
  runs.find((run): run is RunLine => run.id !== null && of.id !== null && run.task === of.task) ?? null

const runRow = (run: ListedRun, choices: ListChoices | null, baseline: RunLine | null): Html => {
  const { id, name, status, reason } = run
  const kind = id === null || run.task === null || run.method === null ? '' : `${run.task}, ${run.method}`
  const why = [kind, reason ?? ''].filter((text) => text !== '').join(' · ')
  const box = html`<input type="checkbox" data-action="pick" data-id="${id ?? ''}" aria-label="compare ${name}"${choices?.selected.has(id ?? '') === true ? html` checked` : null}>`
  return html`<tr id="row-${id ?? name}">${choices === null ? null : html`<td class="pick">${id === null ? null : box}</td>`}
<td class="name">${id === null ? html`<span>${name}</span>` : html`<a href="#/run/${id}">${name}</a>`}<span class="why">${why}</span></td>
<td>${statusText(status)}</td>${
    id === null
      ? ['', '', '', '', ''].map(() => html`<td></td>`)
      : html`<td class="progress">${progress(computeProgress(run), stepsText(run))}</td>
<td class="n" data-label="time left">${leftText(run.secondsLeft)}</td>${numberCell(run.loss, 'loss')}
<td class="n" title="${run.score?.value ?? ''}">${sparkline(run)}${formatScore(run)}${difference(run, baseline)}</td>${numberCell(run.tokensPerSecond, 'tokens/s')}`
  }</tr>`
}

/** Three digits, and all digits in the tooltip. */
const numberCell = (value: number | null, label: string): Html =>
  html`<td class="n" data-label="${label}" title="${value ?? ''}">${value === null ? '' : formatNumber(Number(value.toPrecision(3)))}</td>`

const sparkline = ({ score, curve, step, steps }: RunLine): Html | null =>
  score === null ? null : drawSparkline(score.metric, curve, Math.max(step, steps ?? 0))

/** The distance from the first run of a comparison, if both have a score of the same kind. */
const difference = ({ id, score }: RunLine, baseline: RunLine | null): Html | null =>
  score === null || baseline?.score?.metric !== score.metric || baseline.id === id
    ? null
    : html`<span class="why">${differenceText(score.metric, score.value - baseline.score.value)}</span>`

export const computeProgress = ({ step, steps }: Pick<RunLine, 'step' | 'steps'>): number =>
  steps === null || steps === 0 ? 0 : Math.min(1, step / steps)

export const stepsText = ({ step, steps }: Pick<RunLine, 'step' | 'steps'>): string =>
  step === 0 && !steps ? '' : `${formatNumber(step)} of ${steps ? formatNumber(steps) : '?'}`

/** The time left; an estimate has whole seconds. */
export const leftText = (seconds: number | null): string => (seconds === null ? '' : durationText(Math.round(seconds)))

export const formatScore = ({ score }: Pick<RunLine, 'score'>): string =>
  score === null ? '' : `${score.metric} ${scoreText(score.metric, score.value)}${score.evaluation === 'last' ? ' (last)' : ''}`

export const statusText = (status: RunStatus): Html => html`<span class="run-status ${status}">${status}</span>`

export const progress = (share: number, text: string): Html =>
  html`<progress max="1" value="${share}" aria-label="progress"></progress><span>${text}</span>`

const counted = ['running', 'waiting', 'failed'] as const satisfies readonly RunStatus[]

/** @param isLinked whether the names lead to the sweeps */
export const sweepTable = (sweeps: readonly SweepLine[], isLinked: boolean): Html => {
  const head = ['sweep', 'status', 'runs', 'time left', ...counted].map(
    (title, i) => html`<th scope="col" class="${i > 2 ? 'n' : ''}">${title}</th>`,
  )
  return html`<table class="list sweeps"><thead><tr>${head}</tr></thead><tbody>${sweeps.map((sweep) => sweepRow(sweep, isLinked))}</tbody></table>`
}

const sweepRow = (line: SweepLine, isLinked: boolean): Html => {
  const stage = line.stage === 'grid' ? 'searching learning rates' : ''
  const why = [line.sweep, stage, line.problem ?? ''].filter((text) => text !== '').join(' · ')
  const name = isLinked ? html`<a href="#/sweep/${line.id}">${line.name}</a>` : html`<span>${line.name}</span>`
  const finished = `${formatNumber(line.counts.finished)} of ${formatNumber(line.cells)} finished`
  return html`<tr id="row-${line.id}"><td class="name">${name}<span class="why">${why}</span></td><td>${statusText(sweepStatus(line))}</td>
<td class="progress">${progress(line.progress, finished)}</td><td class="n" data-label="time left">${leftText(line.secondsLeft)}</td>
${counted.map((kind) => html`<td class="n" data-label="${kind}">${formatNumber(line.counts[kind])}</td>`)}</tr>`
}

const sweepStatus = ({ isRunning, cells, counts }: SweepLine): RunStatus => {
  if (isRunning || (counts.running > 0 && counts.finished < cells)) return 'running'
  return cells > 0 && counts.finished === cells ? 'finished' : 'interrupted'
}
