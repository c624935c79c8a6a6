/** A kept checkpoint in detail: its confusion matrix as a figure, its scores by class, and its worst errors. */
import { describe, expect, it } from 'vitest'
import { confusionFigure, type EvaluatedRun } from '../../../reporting/figures/heatMaps.js'
import { evaluationTables } from '../../../reporting/report/evaluationTables.js'

/** Three classes, two of the same name; of the 10 examples 6 are right. */
const run: EvaluatedRun = {
  task: 'reviews',
  name: 'one',
  details: {
    step: 9,
    byClass: ['bad', 'good', 'good'].map((label, i) => ({
      label,
      precision: 0.25,
      recall: i === 1 ? null : 0.5,
      f1: 0.75,
      examples: 10 + i,
    })),
    confusion: [
      [3, 1, 0],
      [0, 2, 2],
      [1, 0, 1],
    ],
    errors: [
      { row: 7, label: 'good', predicted: 'bad', loss: 1.23456, text: 'first <b>', textPair: 'second' },
      { row: 8, label: 'bad', predicted: 'good', loss: 0.5, text: 'Dear all,\r\n\nalone\u001b\n' },
      { row: 9, label: 'bad', predicted: 'good', loss: 0.25 },
    ],
  },
} as EvaluatedRun

describe('the confusion matrix of a report', () => {
  const figure = confusionFigure([run])

  it('has labels down and predictions across, in its chart and in its table', () => {
    const [panel] = figure?.panels ?? []
    if (panel?.chart.kind !== 'heatMap') throw new Error('expected a heat map')
    const { cells, rows, columns } = panel.chart
    expect([rows, columns].map(({ title, order }) => [title, order])).toEqual([
      ['label', ['bad', 'good', 'good (2)']],
      ['prediction', ['bad', 'good', 'good (2)']],
    ])
    expect(cells.filter(({ value }) => value > 0)).toEqual([
      { row: 'bad', column: 'bad', value: 3 },
      { row: 'bad', column: 'good', value: 1 },
      { row: 'good', column: 'good', value: 2 },
      { row: 'good', column: 'good (2)', value: 2 },
      { row: 'good (2)', column: 'bad', value: 1 },
      { row: 'good (2)', column: 'good (2)', value: 1 },
    ])
    expect(panel.alternative).toBe('Confusion matrix, reviews: 3 classes, 6 of 10 examples right.')
    expect(figure?.table.rows.slice(0, 4)).toEqual([
      ['reviews', 'one', 'bad', 'bad', 3],
      ['reviews', 'one', 'bad', 'good', 1],
      ['reviews', 'one', 'bad', 'good', 0],
      ['reviews', 'one', 'good', 'bad', 0],
    ])
  })

  it('is none for a matrix that does not fit its classes', () => {
    const { details } = run
    expect(confusionFigure([{ ...run, details: { ...details, confusion: [[1, 2]] } }])).toBe(null)
    expect(confusionFigure([{ ...run, details: { ...details, confusion: null } }])).toBe(null)
  })
})

describe('the tables of an evaluation', () => {
  it('have precision, recall and F1 by class, and both texts of an error', () => {
    const [classes, errors] = evaluationTables([run])
    expect(classes?.table.columns).toEqual(['class', 'precision', 'recall', 'F1', 'examples'])
    expect(classes?.table.rows.slice(0, 2)).toEqual([
      ['bad', '25.0 %', '50.0 %', '75.0 %', 10],
      ['good', '25.0 %', null, '75.0 %', 11],
    ])
    expect(classes?.csv?.split(/\r?\n/)[1]).toBe('bad,0.25,0.5,0.75,10')
    expect(errors?.table.rows.map((row) => row.slice(0, 4))).toEqual([
      [7, 1.23, 'good', 'bad'],
      [8, 0.5, 'bad', 'good'],
      [9, 0.25, 'bad', 'good'],
    ])
    expect(errors?.table.rows.map((row) => row[4])).toEqual(['first <b> | second', 'Dear all,\n\nalone\\u001b', ''])
  })

  it('have a column for labels that are probably wrong, if there are any', () => {
    const errors = run.details.errors.map((error, i) => ({ ...error, labelIssue: i === 1 }))
    const [, table] = evaluationTables([{ ...run, details: { ...run.details, errors } }])
    expect(table?.table.columns).toEqual(['row', 'loss', 'label', 'suspicion', 'prediction', 'text'])
    expect(table?.table.rows.map((row) => row[3])).toEqual(['', 'this label may be wrong', ''])
    expect(table?.caption).toContain('Of these, 1 label may be wrong')
  })

  const htmlIn = (errors: readonly object[]): readonly (readonly string[])[] => {
    const [table] = evaluationTables([{ ...run, details: { step: 9, byClass: null, confusion: null, errors } } as unknown as EvaluatedRun])
    expect(table?.csv?.split('\n')[0]).toBe('row,loss,label,prediction,text')
    return (table?.table.rows ?? []).map((row) => row.map((cell) => (typeof cell === 'object' ? (cell?.html ?? '') : String(cell))))
  }
  const tagged = { row: 1, loss: 1, text: 'Ann B. went\nto <b>', words: [0, 3, 4, 6, 7, 11, 12, 14, 15, 18] }

  it('mark the entities of a sentence where they are, each with the name of its type, as labeled beside as predicted', () => {
    const [labeled, predicted] = ['B-PER I-PER O O B-<i>', 'B-ORG O O O O']
    const [[, , gold, answer, ...others] = []] = htmlIn([{ ...tagged, label: labeled, predicted }])
    expect(others).toEqual([]) // the text is in both
    const mark = (type: number, text: string, name: string): string => `<mark class="type-${type}">${text}<small> ${name}</small></mark>`
    expect(gold).toBe(`<span class="tagged">${mark(2, 'Ann B.', 'PER')} went\nto ${mark(0, '&lt;b&gt;', '&lt;i&gt;')}</span>`)
    expect(answer).toBe(`<span class="tagged">${mark(1, 'Ann', 'ORG')} B. went\nto &lt;b&gt;</span>`)
  })

  it.each([
    ['a place beyond the text', { words: [0, 3, 900, 1000] }, 'B-PER B-PER'],
    ['places in any order', { words: [9, 1, 3, 2] }, 'B-PER B-PER'],
    ['a text that was cut', { text: 'Ann…', words: [0, 3] }, 'B-PER O O O …'],
  ])('mark no place twice and none outside, of %s', (_, change, tags) => {
    const [[, , gold = ''] = []] = htmlIn([{ ...tagged, ...change, label: tags, predicted: 'O O O O O' }])
    const { text } = { ...tagged, ...change }
    expect(
      gold
        .replace(/<small>.*?<\/small>|<[^>]*>/g, '')
        .replaceAll('&lt;', '<')
        .replaceAll('&gt;', '>'),
    ).toBe(text)
  })

  it.each([
    ['tags that do not fit', { label: 'B-PER O' }],
    ['half a word', { words: [0, 3, 4] }],
    ['no words, as in older runs', { words: undefined }],
  ])('have the tags as text for %s', (_, change) => {
    const error = { ...tagged, label: 'B-PER O O O O', predicted: 'O O O O O', ...change }
    expect(htmlIn([error])[0]?.slice(2)).toEqual([error.label, error.predicted, error.text])
  })

  it('name the run of each row if there are several', () => {
    const [classes] = evaluationTables([run, { ...run, name: 'two' }])
    expect(classes?.table.columns.slice(0, 3)).toEqual(['task', 'run', 'class'])
    expect(classes?.table.rows.map((row) => row[1])).toEqual(['one', 'one', 'one', 'two', 'two', 'two'])
  })
})
