/**
 * The code blocks of README, docs and examples are valid. TypeScript compiles against the package's types, JSON parses, Python compiles, and
 * JavaScript has no syntax errors.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { codeBlocksOf, pagesBelow, type CodeBlock } from './pages.js'

const pages = pagesBelow('.').filter((page) => !page.startsWith('property-tests/') && !page.startsWith('finetuning/'))
const blocks = pages.flatMap((page) => codeBlocksOf(page, readFileSync(page, 'utf8')))
const ofLanguage = (language: string): readonly CodeBlock[] => blocks.filter((block) => block.language === language)
const places = (language: string) => ofLanguage(language).map((block) => ({ place: `${block.page}:${block.line}`, code: block.code }))

const folder = mkdtempSync(join(tmpdir(), 'salora-blocks-'))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(resolve('.'), join(folder, 'node_modules/salora'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('the code blocks of the documentation', () => {
  it('are of languages that a test checks', () => {
    const checked = ['ts', 'sh', 'json', 'python', 'js', 'html', 'text', 'csv']
    expect(
      blocks.filter(({ language }) => !checked.includes(language)).map(({ page, line, language }) => `${page}:${line} ${language}`),
    ).toEqual([])
    for (const language of ['ts', 'sh', 'json', 'python', 'js']) expect(ofLanguage(language).length, language).toBeGreaterThan(0)
  })

  it('code blocks in TypeScript compile against the types of the package', () => {
    const files = ofLanguage('ts').map(({ page, line, code }) => {
      const file = `${page.replaceAll(/[^\w]/g, '-')}-${line}.ts`
      writeFileSync(join(folder, file), code.includes('import ') ? code : `export {}\n${code}`)
      return file
    })
    const options = {
      target: 'ES2022',
      module: 'NodeNext',
      lib: ['ES2023'],
      types: ['node'],
      typeRoots: [resolve('node_modules/@types')],
      strict: true,
      noEmit: true,
      skipLibCheck: true,
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files }))
    const { stdout, status } = spawnSync(process.execPath, [resolve('node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' })
    expect(stdout).toBe('')
    expect(status).toBe(0)
  }, 120_000)

  it.each(places('json'))('code blocks in JSON at $place parse', ({ code }) => {
    // JSON lines too
    const json = code.trim().startsWith('[') || code.trim().split('\n').length === 1
    for (const text of json ? [code] : code.trim().split('\n')) expect(() => JSON.parse(text)).not.toThrow()
  })

  it.each(places('js'))('code blocks in JavaScript at $place have no syntax error', ({ code }) => {
    writeFileSync(join(folder, 'block.mjs'), code)
    expect(() => execFileSync(process.execPath, ['--check', join(folder, 'block.mjs')], { stdio: 'pipe' })).not.toThrow()
  })

  const hasPython = spawnSync('python3', ['--version']).status === 0
  it.skipIf(!hasPython).each(places('python'))(
    'code blocks in Python at $place compile (skipped where there is no python3)',
    ({ code }) => {
      const { status, stderr } = spawnSync('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], {
        input: code,
        encoding: 'utf8',
      })
      expect(stderr).toBe('')
      expect(status).toBe(0)
    },
  )
})
