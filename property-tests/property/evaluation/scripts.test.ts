/** Scripts of the evaluation: each explains itself by --help, and reports a wrong flag or input in one line. */
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const scripts = {
  'evaluation/studies/estimateCases': ['--only'],
  'evaluation/gpu/trial': ['--device', '--peer', '--model', '--data', '--repeats', '--only', '--small', '--output'],
  'evaluation/studies/int8Quality': [
    '--model',
    '--data',
    '--tasks',
    '--seeds',
    '--epochs',
    '--learning-rate',
    '--output',
    '--results',
    '--jobs',
  ],
  'evaluation/studies/allocationSpan': [
    '--model',
    '--data',
    '--tasks',
    '--budgets',
    '--allocations',
    '--seeds',
    '--output',
    '--results',
    '--jobs',
  ],
  'evaluation/studies/foundRanks': ['--model', '--data', '--tasks', '--budgets', '--steps', '--search', '--seeds', '--output', '--results'],
  'evaluation/studies/componentChoice': ['--model', '--data', '--tasks', '--seed', '--results'],
  'evaluation/studies/rowErrors': ['runs', 'file', '--methods', '--draws'],
  'evaluation/studies/decoderRows': [
    '--model',
    '--data',
    '--methods',
    '--part',
    '--ranks-of',
    '--seeds',
    '--output',
    '--results',
    '--jobs',
  ],
  'evaluation/studies/longRun': ['--steps', '--precision', '--model'],
  'evaluation/studies/largeShapes': ['--folder', '--layers', '--length', '--steps', '--precision', '--threads', '--profile'],
  'evaluation/studies/sweepFile': ['pack or unpack', '--command', '--model', '--data'],
  'finetuning/embedded/buildTokenizer': ['--corpora', '--exclude', '--output'],
  'property-tests/growth/growth': ['--only', '--seconds'],
  'property-tests/soak/soak': ['--part', '--predictions', '--runs', '--minutes'],
  'evaluation/studies/compareBases': ['--seeds', '--output', '--results', '--jobs'],
  'finetuning/embedded/pretrain': ['--corpora', '--exclude', '--output', '--steps', '--threads'],
} as const
type Script = keyof typeof scripts
/** Required flags, which are checked before the others. */
const needed: Readonly<Partial<Record<Script, ReadonlyArray<string>>>> = {
  'evaluation/studies/int8Quality': ['--model', '.', '--data', '.'],
  'evaluation/studies/allocationSpan': ['--model', '.', '--data', '.'],
  'evaluation/studies/foundRanks': ['--model', '.', '--data', '.', '--steps', '9'],
  'evaluation/studies/componentChoice': ['--model', '.', '--data', '.'],
  'evaluation/studies/rowErrors': ['runs', 'file', '--methods', 'lora,salora'],
  'evaluation/studies/decoderRows': ['--model', '.', '--data', '.', '--methods', 'lora', '--part', 'choose'],
  'evaluation/studies/largeShapes': ['--folder', '.'],
  'finetuning/embedded/buildTokenizer': ['--corpora', '.'],
  'finetuning/embedded/pretrain': ['--corpora', '.', '--output', 'run'],
}

let cwd = ''
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'salora-scripts-'))
})
afterAll(() => rm(cwd, { recursive: true }))

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const runFile = (file: string, ...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((ended) => {
    const child = spawn(process.execPath, [file, ...args], { cwd })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('close', (code) => ended({ code, stdout, stderr }))
  })

const run = (script: Script, ...args: ReadonlyArray<string>): Promise<Ended> => runFile(resolve(`dist/${script}.js`), ...args)

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
  const sweep = ['unpack', 'runs.json', 'sweep']
  const cases: ReadonlyArray<readonly [Script, ReadonlyArray<string>, number, string]> = [
    ['evaluation/studies/longRun', ['--steps', 'many'], 2, '--steps: expected a number, got "many"'],
    ['evaluation/studies/longRun', ['--steps', '1e-3'], 2, '--steps: expected a whole number of at least 300, got 1e-3'],
    ['evaluation/studies/longRun', ['--steps', '299'], 2, '--steps: expected a whole number of at least 300, got 299'],
    ['evaluation/studies/longRun', ['--steps'], 2, '--steps: expected a value, got none'],
    [
      'evaluation/studies/longRun',
      ['--precision', 'half'],
      2,
      'precision: expected one of float32, float64, int8, int4, mixed, got "half"',
    ],
    ['evaluation/studies/int8Quality', ['--data', '.'], 2, '--model is required: a folder in Hugging Face layout or a hub id'],
    [
      'evaluation/studies/int8Quality',
      ['--data', '.', '--model', '.', '--learning-rate', 'x'],
      2,
      '--learning-rate: expected a number, got "x"',
    ],
    ['evaluation/studies/int8Quality', ['--data', '.', '--model', './none'], 1, '--model "./none": expected a folder'],
    ['evaluation/studies/estimateCases', ['--only', 'embedded-full,none'], 2, '--only: expected names of embedded-salora, '],
    ['evaluation/studies/sweepFile', ['pack', 'sweep'], 2, 'TO is required (see node dist/evaluation/studies/sweepFile.js --help)'],
    ['evaluation/studies/sweepFile', ['tar', 'sweep', 'runs.json'], 2, 'ACTION: expected pack or unpack, got "tar"'],
    [
      'evaluation/studies/sweepFile',
      ['pack', 'sweep', 'runs.json'],
      2,
      '--command: expected the command that makes the runs, for pack, got none',
    ],
    [
      'evaluation/studies/sweepFile',
      ['pack', 'sweep', 'runs.json', '--command', 'glue'],
      1,
      'sweep/cells: expected to list it, got ENOENT',
    ],
    ['evaluation/studies/sweepFile', [...sweep, '--model', '.'], 2, '--data: expected a folder or a name of the hub, for unpack, got none'],
    ['evaluation/studies/sweepFile', [...sweep, '--model', '.', '--data', '.'], 1, 'runs.json: expected '],
    [
      'evaluation/studies/rowErrors',
      ['runs', 'errors.json', '--methods', 'lora'],
      2,
      '--methods: expected two names, such as lora,salora, got lora',
    ],
    ['evaluation/studies/rowErrors', ['runs', 'errors.json', '--methods', 'lora,salora'], 1, 'runs/cells: expected to list it, got ENOENT'],
    [
      'evaluation/studies/componentChoice',
      ['--model', '.', '--data', '.', '--tasks', 'cola'],
      2,
      '--tasks: expected tasks with rates, such as cola=1e-3, got cola',
    ],
    [
      'evaluation/studies/decoderRows',
      ['--model', '.', '--data', '.', '--methods', 'lora:none=1', '--part', 'choose'],
      2,
      '--methods: expected settings of lora after a colon, such as lora:learning-rate=1e-4, got "lora:none=1"',
    ],
    [
      'evaluation/studies/decoderRows',
      ['--model', '.', '--data', '.', '--methods', 'lora', '--part', 'train'],
      2,
      '--part: expected one of choose, report, got "train"',
    ],
    [
      'evaluation/studies/decoderRows',
      ['--model', '.', '--data', '.', '--methods', 'lora', '--part', 'choose', '--ranks-of', 'salora'],
      2,
      '--ranks-of: expected a row with ranks and seed 100 in evaluation/results/decoder.json, got "salora"',
    ],
    [
      'evaluation/studies/decoderRows',
      ['--model', '.', '--data', '.', '--methods', 'lora', '--part', 'choose', '--ranks-of', resolve('package.json')],
      1,
      `${resolve('package.json')}: expected ranks whose name is a whole number, got "salora"`,
    ],
    ['evaluation/studies/decoderRows', ['--model', '.', '--data', 'none', '--methods', 'lora', '--part', 'choose'], 1, 'none: expected '],
    ['finetuning/embedded/buildTokenizer', ['--corpora', 'none'], 1, '--corpora none: expected '],
    ['finetuning/embedded/pretrain', ['--corpora', 'none', '--output', 'run'], 1, '--corpora none: expected '],
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
