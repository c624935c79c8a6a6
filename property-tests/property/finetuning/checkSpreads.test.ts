/** Runs that cannot spread over machines are refused: too many trained numbers for Redis, steps of one part, and an exchange with nobody. */
import { describe, expect, it } from 'vitest'
import { resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { checkExchange, checkSpreads } from '../../../finetuning/run/checkSpreads.js'

const redis = 'redis://127.0.0.1'

describe('a run with --redis', () => {
  const of = (length: number) => ({ start: { parameters: { length } as Float32Array }, task: { method: { name: 'full' } } })

  it('trains at most 256 MB of numbers', () => {
    checkSpreads({ redis }, of(2 ** 26))
    checkSpreads({}, of(2 ** 30))
    expect(() => checkSpreads({ redis }, of(2 ** 26 + 1))).toThrow(
      'redis: expected at most 67,108,864 trained numbers, since all of them travel for each part of each step, got 67,108,865 of method full',
    )
  })

  it('reads negatives of a column, since each machine would mine its own', () => {
    checkSpreads({ redis, task: { task: 'pairs.csv', negative: 'wrong' } }, of(8))
    checkSpreads({ task: { task: 'pairs.csv', negative: 'mined' } }, of(8))
    expect(() => checkSpreads({ redis, task: { task: 'pairs.csv', negative: 'mined' } }, of(8))).toThrow(
      'redis: expected a column of negatives (negative), which all machines read, got mined',
    )
  })

  it('has steps of several parts, and gradients to exchange', () => {
    checkExchange({ redis, exchange: 'float16', settings: resolveSettings({ gradientAccumulationSteps: 2 }) })
    expect(() => checkExchange({ redis, settings: resolveSettings({}) })).toThrow('redis: expected gradientAccumulationSteps of at least 2')
    expect(() => checkExchange({ exchange: 'float16', settings: resolveSettings({}) })).toThrow('exchange: expected redis too')
  })
})
