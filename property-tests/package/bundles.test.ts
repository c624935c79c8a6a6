/** The bundles of the program: whatever starts a process or a thread starts one, and each of their files keeps its address. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bundledFiles } from '../../scripts/bundleProgram.js'

const sources = ['accelerated', 'cli', 'evaluation', 'finetuning', 'reporting'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
    .filter((name) => name.endsWith('.ts')),
)
/** The files beside a source that it names by its own address. */
const startedBy = (source: string): ReadonlyArray<string> =>
  [...readFileSync(source, 'utf8').matchAll(/'(\.\/[^']*)\.js', import\.meta\.url/g)].map(([, path = '']) =>
    posix.join(posix.dirname(source), path),
  )

describe('the bundles of the program', () => {
  it('contain every file that starts a thread or a process', () => {
    const started = sources.filter((file) => !/^evaluation\/gpu\//.test(file)).flatMap(startedBy)
    expect([...bundledFiles].sort()).toEqual([...new Set([...started, 'cli/salora'])].sort())
  })

  it('are what the built files import, beside the license of the package in them', () => {
    for (const file of bundledFiles) {
      const [, bundle = ''] = /^import '([^']+)'\n$/m.exec(readFileSync(`dist/${file}.js`, 'utf8')) ?? []
      expect(existsSync(posix.join('dist', posix.dirname(file), bundle)), file).toBe(true)
    }
    expect(readFileSync('dist/program/LICENSE-zod', 'utf8')).toMatch(/MIT License[\s\S]*Colin McDonnell/)
  })

  it('find files by the addresses that they have without a bundle', () => {
    const texts = readdirSync('dist/program').map((name) => readFileSync(`dist/program/${name}`, 'utf8'))
    const addresses = texts.flatMap((text) => [...text.matchAll(/(.{0,80})import\.meta\.url/g)].map(([, before = '']) => before))
    expect(addresses.length).toBeGreaterThan(5)
    for (const before of addresses) {
      const [, path = ''] = /new URL\("\.\.\/([^"]+)\.js", $/.exec(before) ?? []
      expect(existsSync(`${path}.ts`), before).toBe(true)
    }
  })
})
