/** README: its length, and its program, which runs in a project outside the clone. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { printedBy, programs } from './readmePrograms.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-readme-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('README', () => {
  it('has at most 150 lines', () => expect(readFileSync('README.md', 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(150))

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
    expect(printed).toMatch(/(^(positive|negative) \[ -?\d+\.\d+, -?\d+\.\d+ \]\n){2}$/m)
  }, 240_000)
})
