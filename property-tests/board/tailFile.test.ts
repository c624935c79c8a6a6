/** Tailing a file: whatever is appended, truncated or replaced between two reads, the result is the file's complete lines, each passed once. */
import { appendFile, readFile, rename, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openTail } from '../../reporting/board/tailFile.js'
import { SEED } from '../support/seed.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('tail')
let files = 0

const newTail = (options: { readonly lastBytes?: number; readonly maxBytes?: number } = {}) => {
  const file = join(root, `${files++}.jsonl`)
  const state = { lines: [] as string[], calls: 0, resets: 0 }
  const tail = openTail(file, {
    onLine: (line) => {
      state.lines.push(line.toString())
      state.calls++
    },
    onReset: () => {
      state.lines = []
      state.resets++
    },
    ...options,
  })
  return { file, state, read: tail.read }
}
const wholeLines = (text: string): readonly string[] => text.split('\n').slice(0, -1)

describe('tailing a file', () => {
  it('passes the complete lines of the file after any history of changes', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'ü', '\n', '"'), maxLength: 40 })
    const change = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), text }),
      fc.record({ kind: fc.constant('truncate and append' as const), keep: fc.double({ min: 0, max: 1, noNaN: true }), text }),
      fc.record({ kind: fc.constant('replace' as const), text }),
    )
    return fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const { file, state, read } = newTail()
        await read() // there is no file yet
        let number = 0
        for (const one of changes) {
          const unique = `${number++}` // as no two executions of a step have the same speed
          if (one.kind === 'append') await appendFile(file, one.text)
          if (one.kind === 'truncate and append') {
            const bytes = await readFile(file).catch(() => Buffer.alloc(0))
            await writeFile(file, bytes, { flag: 'a' })
            await truncate(file, Math.floor(one.keep * bytes.length))
            await appendFile(file, `${unique}${one.text}`)
          }
          if (one.kind === 'replace') {
            await writeFile(`${file}.new`, one.text)
            await rename(`${file}.new`, file)
          }
          await read()
          expect(state.lines).toEqual(wholeLines(await readFile(file, 'utf8').catch(() => '')))
        }
      }),
      { seed: SEED, numRuns: 60 },
    )
  })

  it('passes only the new line of a long file', async () => {
    const { file, state, read } = newTail()
    await writeFile(file, 'line\n'.repeat(200_000))
    expect(await read()).toBe(true)
    expect([state.calls, await read()]).toEqual([200_000, false])
    await appendFile(file, 'half')
    await read()
    await appendFile(file, ' a line\nand ano')
    await read()
    expect([state.calls, state.lines.at(-1), state.resets]).toEqual([200_001, 'half a line', 1])
  })

  it('ignores an incomplete last line, and a line that is too long for memory', async () => {
    const { file, state, read } = newTail()
    await writeFile(file, `${'x'.repeat(3_000_000)}\nshort\n{"kind":"st`)
    await read()
    expect(state.lines).toEqual(['short'])
  })

  it('passes only the last lines if they are enough', async () => {
    const { file, state, read } = newTail({ lastBytes: 10 })
    await writeFile(file, 'a long first line\nsecond\nlast\n')
    await read()
    expect(state.lines).toEqual(['last'])
  })

  it('continues a file that is too long for one read at the next one, although the file has not changed', async () => {
    const { file, state, read } = newTail({ maxBytes: 1 << 18 })
    await writeFile(file, 'line\n'.repeat(200_000))
    const results: boolean[] = []
    for (let i = 0; i < 5; i++) results.push(await read())
    expect([results, state.calls, state.resets]).toEqual([[true, true, true, true, false], 200_000, 1])
  })

  it('does not follow a link', async () => {
    const { file, read } = newTail()
    await writeFile(join(root, 'secret'), 'secret\n')
    await symlink(join(root, 'secret'), file)
    await expect(read()).rejects.toThrow(/expected a file within the folder, got ELOOP/)
  })
})
