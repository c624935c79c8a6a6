/** README: its length, and its program, which runs in a project outside the clone. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { PeersResult } from '../../evaluation/benchmark/comparePeft.js'
import { printedBy, programs } from './readmePrograms.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-readme-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('README', () => {
  const readme = readFileSync('README.md', 'utf8')

  it('has at most 150 lines', () => expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(150))

  it('has the milliseconds of the stored benchmark in its table of speed', () => {
    const { rows } = JSON.parse(readFileSync('evaluation/results/benchmark.json', 'utf8')) as PeersResult
    const names = ['16x64', '16x128', 'mrpc-16-random', 'decoder-8x128']
    const expected = names.map((name) =>
      (['float32', 'int8'] as const).flatMap((precision) => {
        const row = rows.find((one) => one.case === name && one.method === 'lora' && one.precision === precision)
        return [row?.ours.milliseconds, row?.peer?.milliseconds].map((milliseconds) => (milliseconds ?? NaN).toFixed(0))
      }),
    )
    const table = /\| case \| salora float32 \|.*\n.*\n((?:\|.*\n)+)/.exec(readme)?.[1] ?? ''
    const cells = table
      .trim()
      .split('\n')
      .map((line) =>
        line
          .split('|')
          .slice(2, -1)
          .map((cell) => cell.trim()),
      )
    // salora and PEFT in float32, then salora in int8 and PEFT in bfloat16
    expect(cells).toEqual(expected)
  })

  it('shows the summary that the picture of the terminal shows', () => {
    const [, block = ''] = /```text\n(scores[\s\S]*?)```/.exec(readme) ?? []
    const picture = readFileSync('docs/public/terminal.svg', 'utf8').replaceAll('&amp;', '&').replaceAll('&lt;', '<')
    const lines = block.split('\n').filter((line) => line !== '')
    expect(lines.length).toBeGreaterThan(5)
    expect(lines.filter((line) => !picture.includes(`>${line}<`))).toEqual([])
  })

  it('has a program of at most 20 lines of code that trains, prunes to the budget, prints a score and classifies texts', () => {
    expect(programs).toHaveLength(1)
    for (const program of programs) expect(program.split('\n').filter((line) => line.trim() !== '').length).toBeLessThanOrEqual(20)
    // the package, as a link to the clone
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(resolve('.'), join(folder, 'node_modules/salora'))
    const printed = printedBy(process.execPath, folder)
    expect(printed).toMatch(/^10 0\.\d+/m)
    const share = Number(/\{\s+accuracy: 0\.\d+[\s\S]*?\} (0\.\d+)/.exec(printed)?.[1])
    expect(share).toBeGreaterThan(0.49)
    expect(share).toBeLessThanOrEqual(0.5)
    expect(printed).toMatch(/(^(positive|negative) 0\.\d+\n){2}$/m)
  }, 240_000)
})
