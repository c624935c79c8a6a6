/** README's program runs as it stands there. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'salora-readme-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('README', () => {
  it('has a program of at most 20 lines that trains, prunes to the budget and prints a score', () => {
    const [, program = ''] = /```ts\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? []
    expect(program.trim().split('\n').length).toBeLessThanOrEqual(20)
    // A user's project: the package is installed, the embedded model lies where the program looks for it.
    for (const [link, target] of [
      ['node_modules', 'node_modules'],
      ['evaluation', 'evaluation'],
    ] as const)
      symlinkSync(resolve(target), join(folder, link))
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({
        name: 'salora',
        type: 'module',
        exports: { './accelerated': './dist/accelerated/index.js', './evaluation': './dist/evaluation/index.js' },
      }),
    )
    symlinkSync(resolve('dist'), join(folder, 'dist'))
    writeFileSync(join(folder, 'program.mjs'), program)
    const printed = execFileSync(process.execPath, ['program.mjs'], { cwd: folder, encoding: 'utf8' })
    expect(printed).toMatch(/^10 0\.\d+/m)
    const share = Number(/\{\s+accuracy: 0\.\d+[\s\S]*?\} (0\.\d+)/.exec(printed)?.[1])
    expect(share).toBeGreaterThan(0.49)
    expect(share).toBeLessThanOrEqual(0.5)
  }, 240_000)
})
