/** Progress while a run's examples are tokenized. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { tokenize, type RunData } from '../../../finetuning/recipe.js'
import { onTokenizingProgress, tokenizingReporter } from '../../../finetuning/tasks/exampleTokenizer.js'
import { fixtures } from '../../golden/golden.js'

describe('the progress of tokenizing', () => {
  it('is a line after two seconds, and every ten seconds after it, until the last example', () => {
    let [time, lines] = [0, [] as string[]]
    const report = tokenizingReporter(
      (line) => lines.push(line),
      () => time,
    )
    for (let done = 1; done <= 30_000; done++) {
      time += 1
      report({ done, examples: 30_000 })
    }
    expect(lines).toEqual([2_001, 12_001, 22_001].map((done) => `tokenizing, ${done.toLocaleString('en-US')} of 30,000 examples`))
    lines = []
    time += 1_000_000
    report({ done: 1, examples: 2 }) // another run in the same thread
    expect(lines).toEqual([])
  })

  it('is reported by a run while it tokenizes, for all of its sets together', async () => {
    const text = { text: 'a', label: 0, row: 1 }
    const set = (count: number) => ({ source: 's', examples: Array.from({ length: count }, () => text), labelNames: null, skipped: [] })
    const data = { train: set(3), evaluation: set(2) } as unknown as RunData
    let seen = 0
    const all = (texts: Iterable<unknown>) => {
      for (const _ of texts) seen++
      return { length: 0, at: () => undefined }
    }
    const lines: string[] = []
    let time = 0
    const now = performance.now.bind(performance)
    performance.now = () => (time += 3_000)
    try {
      onTokenizingProgress((line) => lines.push(line))
      const tokenizer = async () => ({ training: all, evaluation: all, warnings: () => [] })
      const run = tokenize(data, { tokenizer }, await openModelFolder(join(fixtures, 'llama')), { maxLength: 8 })
      while ((await run.next()).done !== true);
    } finally {
      performance.now = now
      onTokenizingProgress(() => undefined)
    }
    expect(seen).toBe(5)
    expect(lines[0]).toBe('tokenizing, 2 of 5 examples')
  })
})
