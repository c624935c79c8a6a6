/** The facts of data as text, from facts by hand: files of a mixture, classes, and what truncation drops. */
import { expect, it } from 'vitest'
import { inspectionText, reportLines } from '../../cli/format/inspection.js'
import type { DataFacts } from '../../finetuning/inspection/dataFacts.js'

const facts: DataFacts = {
  source: 'a.csv, b.csv',
  rows: 40,
  files: [
    { source: 'a.csv', rows: 1_000, drawn: 1_000 },
    { source: 'b.csv', rows: 3, drawn: 6 },
  ],
  skipped: 2,
  classes: ['bad', 'good', 'fair'].map((label, i) => ({ label, rows: [8, 20, 12][i] ?? 0 })),
  hasLabelSets: false,
  entities: null,
  scores: null,
  duplicates: 1,
  contradictions: { texts: 2, first: [1, 2] },
  merged: [],
  lengths: { unit: 'tokens', p50: 5, p90: 6, p95: 7, p99: 8, longest: 9, truncated: { texts: 5, maxLength: 8, wholeExchanges: 2 } },
}

it('the facts of data are in full: rows of each file and of an epoch, shares of classes, and what truncated texts lose', () =>
  expect(inspectionText({ sets: [facts], findings: [], examples: [] }, { color: false }).split('\n')).toEqual([
    'a.csv, b.csv',
    'rows        40 (2 skipped)',
    '  a.csv  1,000',
    '  b.csv      3  6 in an epoch',
    'classes     3',
    '  "bad"    8  20.0 %',
    '  "good"  20  50.0 %',
    '  "fair"  12  30.0 %',
    'texts       1 duplicate, 2 with more than one label',
    'tokens      median 5, 90 % up to 6, 95 % 7, 99 % 8, longest 9',
    'truncated   5 texts by --max-length 8; 2 lose whole exchanges, 3 lose tokens',
    '',
    'nothing suspicious found',
  ]))

it('of more than 30 classes the largest are shown', () => {
  const classes = Array.from({ length: 32 }, (_, i) => ({ label: `c${i}`, rows: i }))
  const lines = inspectionText({ sets: [{ ...facts, classes }], findings: [], examples: [] }, { color: false }).split('\n')
  const shown = lines.filter((line) => line.startsWith('  "c'))
  expect([shown.length, shown[0]?.trim().split(' ')[0], shown.at(-1)?.trim().split(' ')[0]]).toEqual([30, '"c31"', '"c2"'])
  expect(lines).toContain('  and 2 smaller ones (--json has all)')
})

it('the short form has the five largest classes, and both percentiles of the lengths', () => {
  const classes = [1, 6, 3, 5, 2, 4].map((rows) => ({ label: `${rows - 1}`, rows }))
  expect(reportLines({ training: { ...facts, classes }, findings: [] })).toEqual([
    'data: 6 classes ("5" 6, "4" 5, "3" 4, "2" 3, "1" 2, …); 1 duplicate; 2 texts with more than one label; ' +
      'tokens a text: median 5, 95 % up to 7, longest 9',
  ])
})
