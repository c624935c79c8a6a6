/** One run: its progress, numbers, figures and settings, and a button that stops it. */
import { plural } from '../../../charts/formatNumber.js'
import type { BoardState, RunView } from '../../events.js'
import { boardStatus } from '../boardStatus.js'
import { allRunsLink, elementById, make, onChange, setText, textTable } from '../elements.js'
import { factList } from '../facts.js'
import { figureList } from '../figures.js'
import { leftText, progressOf, scoreText, showProgress, showStatus, stepsText } from '../format.js'
import { sentenceField } from '../sentenceField.js'
import { stopControl } from '../stopControl.js'
import { tableList } from '../tables.js'

export const runView = ([id = '']: ReadonlyArray<string>): ((state: BoardState, changed: BoardState) => void) => {
  const board = boardStatus()
  const head = runHead()
  const stop = stopControl(id)
  const resume = resumeHint()
  const facts = factList()
  const figures = figureList()
  const tables = tableList()
  const sentence = sentenceField(id)
  const settings = settingsSection()
  elementById('main').replaceChildren(
    ...[board.problem, allRunsLink(), ...head.elements, stop.element, resume.element, facts.element, sentence.element],
    ...[figures.element, tables.element, settings.element, board.queue],
  )
  return (state, changed) => {
    board.show(state)
    head.show(state.run)
    if (state.run === undefined || state.run === null) return
    stop.show(state.run)
    resume.show(state.run)
    facts.show(factsOf(state.run))
    sentence.show(state.run)
    figures.show(state, changed)
    tables.show(state)
    settings.show(state.run.settings)
  }
}

/** The run's name, status and progress; before and after the run exists, one line that says so. */
const runHead = () => {
  const title = make('h2')
  const status = make('span')
  const reason = make('p', { className: 'quiet' })
  const progress = make('p', { className: 'progress' })
  let exists = false
  return {
    elements: [title, make('p', {}, status), reason, progress],
    show: (run: RunView | null | undefined): void => {
      if (run === undefined) return
      if (run === null) {
        setText(exists ? reason : title, exists ? 'This run no longer exists.' : 'This run does not exist.')
        return
      }
      exists = true
      const { line, stopObstacle } = run
      setText(title, line.name)
      document.title = `${line.name} – salora board`
      showStatus(status, line.status)
      const obstacle = stopObstacle === null ? '' : `The board cannot stop it: ${stopObstacle}.`
      setText(reason, [line.reason ?? '', obstacle].filter((text) => text !== '').join(' · '))
      const left = line.secondsLeft === null ? '' : `, ${leftText(line.secondsLeft)} left`
      showProgress(progress, progressOf(line), `${stepsText(line)}${left}`)
    },
  }
}

const resumeHint = () => {
  const element = make('p', { hidden: true })
  return {
    element,
    show: onChangedCommand((command) => {
      element.hidden = command === null
      element.replaceChildren('Resume with: ', make('code', { textContent: command ?? '' }))
    }),
  }
}

const onChangedCommand = (render: (command: string | null) => void): ((run: RunView) => void) => {
  const renderChange = onChange(render)
  return ({ resume }) => renderChange(resume)
}

const factsOf = ({ line, numbers }: RunView) =>
  [
    ['task', line.task],
    ['method', line.method],
    ['loss', line.loss],
    ['score', scoreText(line.score)],
    ['tokens/s', line.tokensPerSecond],
    ...numbers,
  ] as const

const settingsSection = () => {
  const element = make('section')
  return {
    element,
    show: onChange((settings: RunView['settings']) => {
      const table = textTable('Settings', ['name', 'value'], settings)
      const details = make('details', {}, make('summary', { textContent: plural(settings.length, 'setting') }), table)
      element.replaceChildren(make('h2', { textContent: 'Settings' }), details)
    }),
  }
}
