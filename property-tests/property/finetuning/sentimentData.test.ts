/** The embedded dataset: its split is fixed and balanced, and no sentence is in both parts. */
import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { readSentiment, type Dataset } from '../../../finetuning/data/index.js'
import { loadTask } from '../../../finetuning/tasks/index.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'

const { train, dev } = readSentiment()

const count = ({ examples }: Dataset, label: number): number => examples.filter((example) => example.label === label).length
const plain = (text: string): string => text.toLowerCase().split(/\s+/).join(' ')

describe('the embedded dataset', () => {
  // 2,979 of the 3,000 are distinct by Python's ' '.join(text.lower().split()).
  it('has 2,379 training and 600 evaluation sentences, and lists 21 removed duplicates', () => {
    expect([train.examples.length, dev.examples.length, train.skipped.length]).toEqual([2379, 600, 21])
    const rows = [...train.examples, ...dev.examples, ...train.skipped].map(({ row }) => row).sort((a, b) => a - b)
    expect(rows).toEqual(Array.from({ length: 3000 }, (_, i) => i + 1))
  })

  it('is balanced: 100 evaluation sentences of each source and label', () => {
    expect([count(dev, 0), count(dev, 1)]).toEqual([300, 300])
    expect(Math.abs(count(train, 0) - count(train, 1))).toBeLessThan(12)
    for (const first of [1, 1001, 2001]) {
      // the rows of Yelp, Amazon and IMDb
      const source = dev.examples.filter(({ row }) => row >= first && row < first + 1000)
      expect([0, 1].map((label) => source.filter((example) => example.label === label).length)).toEqual([100, 100])
    }
  })

  it('contains no sentence twice, within or across training and evaluation', () => {
    const texts = [...train.examples, ...dev.examples].map(({ text }) => plain(text))
    expect(new Set(texts).size).toBe(texts.length)
  })

  // The rows, by hashlib and sorted() of Python.
  it('is split by SHA-256, so the split never changes', () => {
    const digest = (data: Dataset) =>
      createHash('sha256')
        .update(JSON.stringify(data.examples.map(({ row }) => row)))
        .digest('hex')
        .slice(0, 16)
    expect([digest(train), digest(dev)]).toEqual(['1826f4dbcc455dd4', '071ed896a17b0bdf'])
  })

  it('labels positive sentences 1', () => {
    const all = [...train.examples, ...dev.examples]
    expect(all.find(({ text }) => text === 'Wow... Loved this place.')?.label).toBe(1)
    expect(all.find(({ text }) => text === 'Crust is not good.')?.label).toBe(0)
    expect(train.labelNames).toEqual(['negative', 'positive'])
  })

  it('contains neither blanks at the ends of sentences nor control characters in place of dashes', () => {
    for (const { text } of [...train.examples, ...dev.examples]) {
      expect(text).toBe(text.trim())
      expect(text).not.toMatch(/[\u0080-\u009f]/)
    }
    expect([...train.examples, ...dev.examples].some(({ text }) => text.includes('all of them – a true masterpiece'))).toBe(true)
  })

  it('loads as the task "sentiment"', async () => {
    expect(await loadTask({ task: 'sentiment' })).toMatchObject({
      name: 'sentiment',
      taskType: singleLabel,
      metrics: ['accuracy'],
      selectionMetric: 'accuracy',
      heldOut: false,
    })
  })
})
