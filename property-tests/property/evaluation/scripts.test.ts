/** Scripts of the evaluation: each explains itself by --help, and reports a wrong flag or input in one line. */
import { spawn } from 'node:child_process'
import { readdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const scripts = {
  'scripts/embeddedModel/corpus': ['--corpora', '--exclude'],
  'scripts/embeddedModel/pretrain': ['--corpora', '--exclude', '--output', '--steps', '--threads'],
} as const
type Script = keyof typeof scripts
/** Required flags, which are checked before the others. */
const needed: Readonly<Partial<Record<Script, readonly string[]>>> = {
  'scripts/embeddedModel/corpus': ['--corpora', '.'],
  'scripts/embeddedModel/pretrain': ['--corpora', '.', '--output', 'run'],
}

const { folder: cwd } = temporaryFolder('scripts')

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const runFile = (file: string, ...args: readonly string[]): Promise<Ended> =>
  new Promise((ended) => {
    const child = spawn(process.execPath, [file, ...args], { cwd })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('close', (code) => ended({ code, stdout, stderr }))
  })

const run = (script: Script, ...args: readonly string[]): Promise<Ended> => runFile(resolve(`dist/${script}.js`), ...args)

describe.each(Object.keys(scripts) as Script[])('%s', (script) => {
  it('prints its usage and flags for --help, and writes no file', async () => {
    const { code, stdout, stderr } = await run(script, '--help')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(new RegExp(`^Usage: node dist/${script}.js .*\\[options\\]$`, 'm'))
    for (const flag of scripts[script]) expect(stdout).toContain(flag)
    expect(await readdir(cwd)).toEqual([])
  })

  it('refuses an unknown flag, and writes no file', async () => {
    expect(await run(script, ...(needed[script] ?? []), '--nope')).toEqual({
      code: 2,
      stdout: '',
      stderr: `--nope: unknown option (see node dist/${script}.js --help)\n`,
    })
    expect(await readdir(cwd)).toEqual([])
  })
})

describe('a script with wrong input', () => {
  const cases: readonly (readonly [Script, readonly string[], number, string])[] = [
    ['scripts/embeddedModel/corpus', ['--corpora', 'none'], 1, '--corpora none: expected '],
    ['scripts/embeddedModel/pretrain', ['--corpora', 'none', '--output', 'run'], 1, '--corpora none: expected '],
    ['scripts/embeddedModel/pretrain', ['--output', 'run'], 2, '--corpora is required'],
    [
      'scripts/embeddedModel/pretrain',
      ['--corpora', '.', '--output', 'run', '--steps', 'many'],
      2,
      '--steps: expected a number, got "many"',
    ],
  ]
  it.each(cases)('ends with one line of error: %s %j', async (script, args, code, line) => {
    const outcome = await run(script, ...args)
    expect(outcome).toMatchObject({ code, stdout: '' })
    expect(outcome.stderr.endsWith('\n') ? outcome.stderr.split('\n').length : outcome.stderr).toBe(2)
    expect(outcome.stderr.slice(0, line.length)).toBe(line)
    expect(await readdir(cwd)).toEqual([])
  })

  it('ends with a stack if the script itself has a defect', async () => {
    await writeFile(
      join(cwd, 'defect.mjs'),
      `import { scriptValues } from ${JSON.stringify(resolve('dist/finetuning/commandLine/script.js'))}
       scriptValues({ name: 'defect', description: '', flags: {}, examples: [] })
       await Promise.reject(new TypeError('of mine'))`,
    )
    const { stderr, code } = await runFile(join(cwd, 'defect.mjs'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/^TypeError: of mine\n {4}at .*defect\.mjs/)
  })
})
