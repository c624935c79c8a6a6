/** The results pages of measurements on a machine: speed, memory, and seven billion parameters. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { PeersResult } from '../../../evaluation/benchmark/comparePeft.js'
import { peersTable } from '../../../evaluation/benchmark/peersTable.js'
import { resultsFolder } from '../../../reporting/results/renderPages.js'
import { stored, tableOf } from './storedRuns.js'

describe('the table of the benchmark', () => {
  const { rows, versions } = stored<PeersResult>('benchmark')

  it('is what the benchmark measured', () => {
    expect(readFileSync(`${resultsFolder}/speed.md`, 'utf8')).toContain(peersTable(rows).trim())
  })

  it('is next to the versions that ran', () => {
    expect(Object.keys(versions)).toEqual(expect.arrayContaining(['torch', 'transformers', 'peft', 'onnxruntime-node']))
    const environment = tableOf('speed', 'environment')
    for (const [name, version] of Object.entries(versions)) expect(environment).toContainEqual([name, version.replace(/\+.*/, '')])
  })
})

describe('the table of estimated and measured memory', () => {
  const { rows } = stored<{
    readonly rows: ReadonlyArray<{
      readonly flags: string
      readonly ratio: number
      readonly measured: number
      readonly estimated: { readonly peak: number }
    }>
  }>('estimate')

  it('has estimates within 10 % of the peaks of eight cases or more, with gradient checkpointing and without', () => {
    expect(rows.length).toBeGreaterThanOrEqual(8)
    for (const words of ['--gradient-checkpointing', 'int8', 'salora', 'lora', 'full', '--batch-size 8', '--batch-size 16'])
      expect(rows.some(({ flags }) => flags.includes(words))).toBe(true)
    for (const { ratio, measured, estimated } of rows) {
      expect(ratio).toBeCloseTo(estimated.peak / measured, 9)
      expect(Math.abs(ratio - 1)).toBeLessThan(0.1)
    }
  })

  it('shows both numbers of each case', () => {
    expect(tableOf('memory', 'cases').map((cells) => cells.slice(1))).toEqual(
      rows.map(({ flags, ratio, measured, estimated }) => [
        `\`${flags}\``,
        ...[estimated.peak, measured].map((bytes) => `${(bytes / 1e9).toFixed(2)} GB`),
        ratio.toFixed(2),
      ]),
    )
  })
})

it('the page of seven billion parameters has the time, rate and memory of the stored run', () => {
  const { step, bytes, trained, pagesSwapped } = stored<{
    readonly step: { readonly seconds: number; readonly gigaops: number }
    readonly bytes: { readonly peak: number; readonly mapped: number }
    readonly trained: number
    readonly pagesSwapped: number
  }>('seven-billion')
  const values = tableOf('seven-billion', 'measured').map(([, value]) => value)
  expect(values).toEqual(
    expect.arrayContaining([
      `${step.seconds.toFixed(1)} s`,
      `${step.gigaops.toFixed(0)} GOP/s`,
      `${(bytes.peak / 1e9).toFixed(1)} GB`,
      `${(bytes.mapped / 1e9).toFixed(1)} GB`,
      trained.toLocaleString('en'),
      String(pagesSwapped),
    ]),
  )
})
