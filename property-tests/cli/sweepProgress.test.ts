/** A sweep's progress where there is no terminal: one line for each run, though its end is reported again. */
import { expect, it } from 'vitest'
import { sweepProgress } from '../../cli/terminal/sweepProgress.js'
import type { Terminal } from '../../cli/terminal/output.js'

it('a run that has ended has one line, though a later stage of the sweep reports it again', () => {
  const notes: string[] = []
  const terminal = { note: (line: string) => notes.push(line), quiet: true } as unknown as Terminal
  const { onEvent, close } = sweepProgress(terminal)
  const ended = (id: string, kind: 'stopped' | 'failed') => onEvent({ kind: 'ended', cell: { id }, outcome: { kind } } as never)
  onEvent({ kind: 'planned', stage: 'grid', cells: 2 } as never)
  ended('one', 'failed')
  onEvent({ kind: 'planned', stage: 'table', cells: 1 } as never)
  ended('one', 'failed')
  ended('two', 'stopped')
  close()
  expect(notes).toEqual(['2 runs to choose learning rates', 'one: failed', '1 run', 'two: stopped'])
})
