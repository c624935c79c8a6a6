import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RunResult } from '../../finetuning/runs/run.js'
import { saloraIn } from './inProcess.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('budget')

const words = [...toyTrain, '--gate-start', '0.2', '--gate-end', '0.5', '--max-steps', '6', '--batch-size', '8', '--quiet', '--json']
const train = (output: string, ...flags: ReadonlyArray<string>) => saloraIn([...words, '--output', output, ...flags], { cwd })

describe.concurrent('a budget below one triplet', () => {
  // 2 layers of 4 matrices 16 × 16 and 2 of 16 × 32, each of rank 8: 3,584 parameters in 96 triplets, the smallest of 32
  it('is avoided by the density in the error, which leaves one triplet', async () => {
    const { code, stdout } = await train('smallest', '--density', '0.00893')
    expect(code).toBe(0)
    const { ranks = {}, retainedParameters } = JSON.parse(stdout) as RunResult
    expect([Object.values(ranks).reduce((a, b) => a + b, 0), retainedParameters]).toEqual([1, 32])
  })
})

describe('an empty adapter', () => {
  it('is saved, scored, used for predictions and merged like the model with its trained head', async () => {
    // with so low a γ every gate is shut from its start, and the paper's rule keeps none
    const { code, stdout, stderr } = await train('none', '--retain', 'paper', '--gamma', '-500')
    expect([code, stderr.replace(/^warning: .*\n/gm, '')]).toEqual([0, ''])
    const result = JSON.parse(stdout) as RunResult
    expect([result.retainedDensity, result.retainedParameters]).toEqual([0, 0])
    expect(Object.values(result.ranks ?? {}).every((rank) => rank === 0)).toBe(true)
    expect(JSON.parse(await readFile(join(cwd, 'none', 'adapter', 'adapter_config.json'), 'utf8'))).toMatchObject({
      target_modules: ['roberta.encoder.layer.0.attention.self.query'], // of zeros: PEFT refuses an adapter of nothing
    })
    const scored = await saloraIn(['evaluate', '--run', 'none', '--json', '--quiet'], { cwd })
    expect(JSON.parse(scored.stdout)).toMatchObject({ scores: result.best?.scores })
    const merged = await saloraIn(['export', '--run', 'none', '--format', 'merged', '--output', 'merged', '--json'], { cwd })
    expect((JSON.parse(merged.stdout) as { readonly comparison: object }).comparison).toMatchObject({
      largestLogitDifference: expect.any(Number),
    })
    expect(merged.code).toBe(0)
  })
})
