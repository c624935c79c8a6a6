/** A file that is followed: whatever is appended, cut or replaced between two looks, what counts is its whole lines as they are, each taken once. */
import { appendFile, mkdtemp, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openTail } from '../../reporting/board/tailFile.js'
import { SEED } from '../support/seed.js'

let root = ''
let files = 0
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-tail-'))
})
afterAll(() => rm(root, { recursive: true }))

const newTail = (options: { readonly last?: number; readonly most?: number } = {}) => {
  const file = join(root, `${files++}.jsonl`)
  const state = { lines: [] as string[], taken: 0, forgotten: 0 }
  const tail = openTail(file, {
    take: (line) => {
      state.lines.push(line.toString())
      state.taken++
    },
    forget: () => {
      state.lines = []
      state.forgotten++
    },
    ...options,
  })
  return { file, state, look: tail.look }
}
const wholeLines = (text: string): ReadonlyArray<string> => text.split('\n').slice(0, -1)

describe('what is followed', () => {
  it('is the whole lines of the file, after any history of it', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'ü', '\n', '"'), maxLength: 40 })
    const change = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), text }),
      fc.record({ kind: fc.constant('cut and go on' as const), keep: fc.double({ min: 0, max: 1, noNaN: true }), text }),
      fc.record({ kind: fc.constant('replace' as const), text }),
    )
    return fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const { file, state, look } = newTail()
        await look() // there is none yet
        let number = 0
        for (const one of changes) {
          const unlike = `${number++}` // as no two runs of a step have one speed
          if (one.kind === 'append') await appendFile(file, one.text)
          if (one.kind === 'cut and go on') {
            const bytes = await readFile(file).catch(() => Buffer.alloc(0))
            await writeFile(file, bytes, { flag: 'a' })
            await truncate(file, Math.floor(one.keep * bytes.length))
            await appendFile(file, `${unlike}${one.text}`)
          }
          if (one.kind === 'replace') {
            await writeFile(`${file}.new`, one.text)
            await rename(`${file}.new`, file)
          }
          await look()
          expect(state.lines).toEqual(wholeLines(await readFile(file, 'utf8').catch(() => '')))
        }
      }),
      { seed: SEED, numRuns: 60 },
    )
  })

  it('is taken once: a look at a long file that has grown by a line takes that line', async () => {
    const { file, state, look } = newTail()
    await writeFile(file, 'line\n'.repeat(200_000))
    expect(await look()).toBe(true)
    expect([state.taken, await look()]).toEqual([200_000, false])
    await appendFile(file, 'half')
    await look()
    await appendFile(file, ' a line\nand ano')
    await look()
    expect([state.taken, state.lines.at(-1), state.forgotten]).toEqual([200_001, 'half a line', 1])
  })

  it('is begun anew where a resume cut it and it has grown beyond the place since', async () => {
    const { file, state, look } = newTail()
    await writeFile(file, 'one\ntwo\nthree\n')
    await look()
    await truncate(file, 4)
    await appendFile(file, '2\n3\n4\n5\n6\n7\n8\n9\n')
    await look()
    expect(state.lines).toEqual(['one', '2', '3', '4', '5', '6', '7', '8', '9'])
  })

  it('is begun anew where another file has taken its place, though that ends alike', async () => {
    const { file, state, look } = newTail()
    const end = `${'the same'.repeat(100)}\n`
    await writeFile(file, `one\n${end}`)
    await look()
    await writeFile(`${file}.new`, `two\n${end}more\n`)
    await rename(`${file}.new`, file)
    await look()
    expect(state.lines).toEqual(['two', end.trimEnd(), 'more'])
  })

  it('is no line while its end is missing, and none that is too long for memory', async () => {
    const { file, state, look } = newTail()
    await writeFile(file, `${'x'.repeat(3_000_000)}\nshort\n{"kind":"st`)
    await look()
    expect(state.lines).toEqual(['short'])
  })

  it('is the last lines alone where those are enough', async () => {
    const { file, state, look } = newTail({ last: 10 })
    await writeFile(file, 'a long first line\nsecond\nlast\n')
    await look()
    expect(state.lines).toEqual(['last'])
  })

  it('of a file that is too long for one look goes on at the next, though it has not changed since', async () => {
    const { file, state, look } = newTail({ most: 1 << 18 })
    await writeFile(file, 'line\n'.repeat(200_000))
    const looks: boolean[] = []
    for (let i = 0; i < 5; i++) looks.push(await look())
    expect([looks, state.taken, state.forgotten]).toEqual([[true, true, true, true, false], 200_000, 1])
  })

  it('is never behind a link', async () => {
    const { file, look } = newTail()
    await writeFile(join(root, 'secret'), 'secret\n')
    await symlink(join(root, 'secret'), file)
    await expect(look()).rejects.toThrow(/expected a file within the folder, got ELOOP/)
  })
})
