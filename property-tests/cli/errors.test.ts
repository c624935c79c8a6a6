/** User errors on the command line: one line that names the flag or the file, the right exit code, and no stack trace. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { methods } from '../../accelerated/methods/index.js'
import { precisions } from '../../accelerated/precisions/index.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { runProgram } from '../../cli/program.js'
import { runConfig, runResult } from '../hostile/validFiles.js'
import { saloraIn } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { toyFolder } from './toyFolder.js'
import { writeAdapter } from './tinyAdapter.js'
import { tinyConfig, tinyTensors, writeTinyModel } from './tinyModel.js'
import { toyFile } from './toyTask.js'

const cwd = toyFolder('mistake')

/** The one line on standard error, with this run's folder as `@`. @param run in a process of its own, or in this one */
const mistake = async (args: ReadonlyArray<string>, code: 1 | 2, run: typeof salora | typeof saloraIn = saloraIn): Promise<string> => {
  const finished = await run(args, { cwd })
  expect(finished.stderr.trimEnd().split('\n')).toHaveLength(1)
  expect(finished.stderr).not.toMatch(/^\s+at /m)
  expect(finished.stdout).toBe('')
  expect(finished.code).toBe(code)
  return finished.stderr.trimEnd().replaceAll(cwd, '@')
}

/** The same for mistakes that show before a run begins, without a process. */
const mistakeHere = async (args: ReadonlyArray<string>): Promise<string> => {
  const [error, output] = [vi.spyOn(process.stderr, 'write').mockReturnValue(true), vi.spyOn(process.stdout, 'write').mockReturnValue(true)]
  const before = { code: process.exitCode, folder: process.cwd() }
  process.chdir(cwd) // a refused run leaves the folder runs/
  try {
    await runProgram(args)
    expect(process.exitCode).toBe(2)
    expect(output.mock.calls).toEqual([])
    expect(error.mock.calls).toHaveLength(1)
    return String(error.mock.calls[0]?.[0]).replace(/\n$/, '')
  } finally {
    process.exitCode = before.code
    process.chdir(before.folder)
    error.mockRestore()
    output.mockRestore()
  }
}

const methodNames = methods.map(({ name }) => name)
const ofLowRank = methods.filter(({ settings }) => Object.hasOwn(settings, 'rank')).map(({ name }) => name)

const train = ['train', '--quiet', '--model', 'tiny', '--task', 'toy.tsv', '--max-length', '16', '--max-steps', '6', '--device', 'cpu']
const gated = [...train, '--method', 'salora']

describe('wrong usage of salora', () => {
  it.each<readonly [ReadonlyArray<string>, string]>([
    [['train', '--rnk', '3'], '--rnk: unknown option (did you mean --rank?)'],
    [['trian'], 'Unknown command `trian` (did you mean `train`?)'],
    [['fine-tune'], 'Unknown command `fine-tune` (use `salora train`)'],
    [['merge_lora'], 'Unknown command `merge_lora` (use `salora export`)'],
    [['DPO', '--rank', '3'], 'Unknown command `DPO` (use `salora train --task preference`)'],
    [['cook'], 'Unknown command `cook` (see `salora --help`)'],
    [['help', 'trian'], 'Unknown command `trian` (did you mean `train`?)'],
    [['--rank'], '--rank: unknown option (see salora --help)'],
    [['train', '--rank'], '--rank: expected a value, got none'],
    [['train', '--model', '--task', 'toy.tsv'], '--model: expected a value, got the option --task'],
    [['train', '--model', 'tiny', 'toy.tsv'], 'salora train: expected options only, got "toy.tsv" (use --task toy.tsv)'],
    [['train', '--task', 'toy.tsv', 'org/a b'], 'salora train: expected options only, got "org/a b" (use --model \'org/a b\')'],
    [['train', 'x'.repeat(81)], `salora train: expected options only, got "${'x'.repeat(80)}…" (use --task …)`],
    [['predict', 'runs/a'], 'salora predict: expected options only, got "runs/a" (use --run runs/a)'],
    [['predict', 'So good.'], 'salora predict: expected options only, got "So good." (texts come from standard input or --input)'],
    [['predict', '--run', 'r', 'good'], 'salora predict: expected options only, got "good" (texts come from standard input or --input)'],
    [['generate', '--run', 'r', 'Hi'], 'salora generate: expected options only, got "Hi" (use --prompt for a text)'],
    [['verify', 'all'], 'salora verify: expected options only, got "all" (see salora verify --help)'],
    [['push', 'run', 'name', 'again'], 'salora push: expected 2 arguments, got "again" (see salora push --help)'],
    [['train'], '--model is required: a folder in Hugging Face layout, a hub id, or embedded'],
    [['train', '--model', 'tiny'], '--task is required: the name of a task or a file of examples'],
    [['train', '--resume'], '--output is required: the folder of the run to resume'],
    [[...train, '--rank', '0'], '--rank: expected a whole number of at least 1, got 0'],
    [[...train, '--rank', '2.5'], '--rank: expected a whole number, got 2.5'],
    [[...train, '--rank', 'three'], '--rank: expected a number, got "three"'],
    [[...train, '--lora-alpha', '2e9'], '--lora-alpha: expected a number of at most 1000000, got 2000000000'],
    [[...gated, '--gate-start', '0.6'], '--gate-start: expected a fraction below --gate-end, got 0.6'],
    [[...gated, '--gate-start', '0.5'], '--gate-start: expected a fraction below --gate-end, got 0.5'],
    [[...gated, '--gate-end', '0.01'], '--gate-start: expected a fraction below --gate-end, got the default 0.02'],
    [
      [...gated, '--sync-every', '8'],
      '--method: expected lora, houlsby, pfeiffer, prefix, prompt or full with --sync-every, since replicas need the same ranks throughout, got "salora"',
    ],
    [[...gated, '--density', '0'], '--density: expected a number above 0, got 0'],
    [[...gated, '--density', '1.01'], '--density: expected a number of at most 1, got 1.01'],
    [[...gated, '--gamma', '0.1'], '--gamma: expected a number below 0, got 0.1'],
    [
      [...train, '--method', 'qlora'],
      `--method: expected one of ${methodNames.join(', ')}, got "qlora" (did you mean --method lora --precision int4?)`,
    ],
    [
      [...train, '--precision', 'nf4'],
      `--precision: expected one of ${precisions.map(({ name }) => name).join(', ')}, got "nf4" (did you mean --precision int4?)`,
    ],
    ...[[], ['--method', 'lora']].map(
      (method) =>
        [
          [...train, ...method, '--density', '0.25'],
          '--density: expected a setting of method lora, got 0.25 (it belongs to salora: use --method salora)',
        ] as const,
    ),
    [
      [...train, '--method', 'full', '--rank', '4'],
      `--rank: expected a setting of method full, got 4 (it belongs to ${ofLowRank.join(', ')}: use --method lora)`,
    ],
    [[...train, '--lambda-optimizer', 'adam'], '--lambda-optimizer: unknown option (see salora train --help)'],
    [[...gated, '--orthogonality', 'max'], '--orthogonality: expected one of mean, sum, got "max"'],
    [[...gated, '--gate-after', 'hard'], '--gate-after: expected one of soft, kept, binary, got "hard"'],
    [[...train, '--preset', 'papers'], '--preset: expected one of paper, tsst-classifier, got "papers"'],
    [[...train, '--preset', 'constructor'], '--preset: expected one of paper, tsst-classifier, got "constructor"'],
    [[...train, '--target-modules', 'query,,value'], '--target-modules: expected names separated by commas, got "query,,value"'],
    [['evaluate'], '--run is required: the folder of a run (or --model, with --adapter or a head of its own)'],
    [['bench', '--layers', '0'], '--layers: expected a whole number from 1 to 100, got 0'],
    [['bench', '--device', 'cpu', '--tf32'], '--tf32: expected none on cpu (only cuda has it), got true'],
    [['bench', '--device-id', '-1'], '--device-id: expected a whole number of at least 0, got -1'],
    [['bench', '--peer', 'none', '--tf32'], '--tf32: expected none with --peer, which has its own cases, got true'],
    [[...train, '--device-id', '2'], '--device-id: expected none on cpu (only cuda has it), got 2'],
    [[...train, '--tf32'], '--tf32: expected none on cpu (only cuda has it), got true'],
    [[...train, '--exchange', 'float16'], '--exchange: expected --redis too, whose workers exchange gradients, got none'],
    [[...train, '--strict-device'], '--strict-device: expected none on cpu (only webgpu and cuda have it), got true'],
  ])('salora %j exits with 2 and names the flag', async (args, line) => {
    expect(await mistakeHere(args)).toBe(line)
  })

  it.each<readonly [ReadonlyArray<string>, string]>([
    [['train', '--rnk', '3'], '--rnk: unknown option (did you mean --rank?)'],
    [[...train, '--max-length', '79'], "--max-length: expected at most the model's 78 positions, got 79"],
  ])('salora %j as a process exits with 2 and names the flag', async (args, line) => {
    expect(await mistake(args, 2, salora)).toBe(line)
  })

  it.each<readonly [ReadonlyArray<string>, string]>([
    [
      [...train, '--target-modules', 'querry'],
      '--target-modules: expected all-linear, or endings of attention.self.query, attention.self.key, attention.self.value, attention.output.dense, intermediate.dense, output.dense, got "querry"',
    ],
    [
      [...train, '--rank', '17'],
      '--rank: expected a rank of at most 16, the smaller side of encoder.layer.0.attention.self.query [16, 16], got 17',
    ],
    [
      [...train, '--method', 'adalora', '--init-r', '17', '--max-steps', '100'],
      '--init-r: expected a rank of at most 16, the smaller side of encoder.layer.0.attention.self.query [16, 16], got 17',
    ],
    [
      [...train, '--task', 'colla'],
      '--task: expected cola, sst2, mrpc, stsb, rte, qnli, qqp, mnli, wnli, yelp, gyafc, sentiment, alpaca, preference, choice or text, or a .tsv, .csv, .jsonl, .json or .parquet file, got "colla" (did you mean --task cola?)',
    ],
    [[...train, '--task', 'cola'], "--data: expected the folder of GLUE's CoLA (for --task cola), got none given"],
  ])('salora %j in a run exits with 2 and names the flag', async (args, line) => {
    expect(await mistake(args, 2)).toBe(line)
  })
})

describe('an error in a file exits with 1 and names the file', () => {
  it.each<readonly [string, string, string, string]>([
    [
      'toy.tsv with a missing label column',
      'labels.tsv',
      'text\tclass\na film\tgood\n',
      'labels.tsv, row 1: expected a column "label" (--label), got the columns "text", "class" (did you mean --label class?)',
    ],
    ['an empty file', 'empty.tsv', '', 'empty.tsv: expected at least one row, got an empty file'],
    ['a header alone', 'header.tsv', 'text\tlabel\n', 'header.tsv: expected at least one row of data, got none'],
    ['one class only', 'one.tsv', 'text\tlabel\na\tgood\nb\tgood\n', 'one.tsv: expected at least two classes, got only "good"'],
    [
      'a text that is empty',
      'hole.tsv',
      'text\tlabel\na\tgood\n\tbad\n',
      'hole.tsv, row 3: expected a text in column "text" (or --skip-missing), got an empty one',
    ],
  ])('%s', async (_what, name, content, line) => {
    await writeFile(join(cwd, name), content)
    expect(await mistake([...train, '--task', name], 1)).toBe(`@/${line}`)
  })

  it('a label that is too long', async () => {
    await writeFile(join(cwd, 'long.tsv'), toyFile(40).replaceAll(/\tbad$/gm, `\t${'x'.repeat(1500)}`))
    expect(await mistake([...train, '--task', 'long.tsv'], 1)).toBe(
      `@/long.tsv: expected labels of at most 1000 characters, got one of 1500: "${'x'.repeat(40)}…"`,
    )
  })

  it('a row that is not UTF-8', async () => {
    await writeFile(join(cwd, 'latin.tsv'), Buffer.from('text\tlabel\na\tgood\ncaf\xe9\tbad\n', 'latin1'))
    expect(await mistake([...train, '--task', 'latin.tsv'], 1)).toBe(
      '@/latin.tsv, row 3: expected text in UTF-8 (or --encoding windows-1252), got bytes that are not UTF-8',
    )
  })

  it('a label that the training data lacks', async () => {
    await writeFile(join(cwd, 'other.tsv'), 'text\tlabel\na\tgood\nb\tmiddling\n')
    expect(await mistake([...train, '--eval-data', 'other.tsv'], 1)).toBe(
      '@/other.tsv, row 3: expected a label of the training data (bad or good), got "middling"',
    )
  })

  it('a missing task file', async () => {
    expect(await mistake([...train, '--task', 'none.tsv'], 1)).toBe('none.tsv: expected a file, got none there')
  })

  it.each<readonly [string, string, string]>([
    ['{"rnk": 3}', 'expected a setting of salora train in camelCase (did you mean "rank"?), got "rnk"', '1'],
    ['{"rank": "3"}', 'expected a number for rank, got "3"', '1'],
    ['[3]', 'expected an object of settings, got "[3]"', '1'],
    ['{"rank": 3, "rank": 4}', 'expected each key once, got "rank" twice', '1'],
    ['{"rank": 0}', 'rank: expected a whole number of at least 1, got 0', '2'],
  ])('a --config file with %s', async (content, line, code) => {
    await writeFile(join(cwd, 'settings.json'), content)
    expect(await mistake([...train, '--config', 'settings.json'], code === '1' ? 1 : 2)).toBe(`settings.json: ${line}`)
  })
})

describe.skipIf(!existsSync('/dev/full'))('standard output on a full disk', () => {
  it.each([
    ['rank-pattern', '--force', '--run', 'ranked'],
    ['predict', '--model', 'tiny', '--adapter', 'adapter'],
  ])('ends salora %s with exit code 1 and one line', async (...args) => {
    await writeAdapter(join(cwd, 'adapter'), join(cwd, 'tiny'), ['bad', 'good'])
    await mkdir(join(cwd, 'ranked'), { recursive: true })
    await writeFile(join(cwd, 'ranked', 'config.json'), JSON.stringify(runConfig))
    await writeFile(join(cwd, 'ranked', 'result.json'), JSON.stringify(runResult))
    const finished = await salora(args, { cwd, input: 'a film\n'.repeat(100), output: '/dev/full' })
    expect([finished.code, finished.stderr]).toEqual([
      1,
      'standard output: expected to write to it, got ENOSPC: no space left on device, write\n',
    ])
  })
})

describe('an error in a model exits with 1 and names the file', () => {
  const withModel = async (name: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> => {
    await writeTinyModel(join(cwd, name), files)
    return mistake([...train, '--model', name], 1)
  }
  const query = 'roberta.encoder.layer.0.attention.self.query.weight'

  it('a missing folder', async () => {
    expect(await mistake([...train, '--model', './none'], 1)).toBe(
      '--model "./none": expected a folder in Hugging Face layout, a hub id like FacebookAI/roberta-base, or embedded, got neither',
    )
  })

  it('a folder without config.json', async () => {
    await mkdir(join(cwd, 'bare'))
    expect(await mistake([...train, '--model', 'bare'], 1)).toBe('@/bare: expected config.json in the folder, got none')
  })

  it('an unsupported architecture', async () => {
    expect(await withModel('gpt', { 'config.json': JSON.stringify({ ...tinyConfig, model_type: 'gpt_neox' }) })).toMatch(
      /^@\/gpt\/config\.json: expected model_type "roberta" or "bert" or .*"llama" or .* \(the supported families\), got "gpt_neox"$/,
    )
  })

  it('truncated safetensors', async () => {
    const valid = writeSafetensors(tinyTensors())
    expect(await withModel('cut', { 'model.safetensors': valid.subarray(0, valid.length - 100) })).toMatch(
      /^@\/cut\/model\.safetensors: expected .*, got .*$/,
    )
  })

  it('a header longer than the file', async () => {
    const valid = Buffer.from(writeSafetensors(tinyTensors()))
    valid.writeBigUInt64LE(BigInt(valid.length), 0)
    expect(await withModel('long', { 'model.safetensors': valid })).toMatch(/^@\/long\/model\.safetensors: expected .*, got .*$/)
  })

  it('a tensor of the wrong shape', async () => {
    const tensors = tinyTensors().set(query, { shape: [16, 8], data: new Float32Array(128) })
    expect(await withModel('shape', { 'model.safetensors': writeSafetensors(tensors) })).toMatch(
      /^@\/shape\/model\.safetensors: expected tensor roberta\.encoder\.layer\.0\.attention\.self\.query\.weight of shape \[16, ?16\], got \[16, ?8\]$/,
    )
  })

  it('a weight that is not finite', async () => {
    const tensors = tinyTensors()
    const data = Float32Array.from(tensors.get(query)?.data ?? [])
    data[35] = NaN
    tensors.set(query, { shape: [16, 16], data })
    expect(await withModel('nan', { 'model.safetensors': writeSafetensors(tensors) })).toMatch(
      /^@\/nan\/model\.safetensors: expected finite float32 numbers in roberta\.encoder\.layer\.0\.attention\.self\.query\.weight, got NaN at \[2, ?3\]$/,
    )
  })
})

describe('a folder that cannot be used exits with 1 and names it', () => {
  it('--output that is a file', async () => {
    await writeFile(join(cwd, 'taken'), '')
    expect(await mistake([...train, '--output', 'taken'], 1)).toMatch(/^--output taken: expected a folder that can be written, got .*$/)
  })

  it('--output that has an earlier run, which stays unchanged', async () => {
    await mkdir(join(cwd, 'earlier'))
    const config = JSON.stringify({ formatVersion: 2, model: 'm', task: {}, settings: {} })
    await writeFile(join(cwd, 'earlier', 'config.json'), config)
    expect(await mistake([...train, '--output', 'earlier'], 1)).toBe(
      '--output earlier: expected a new folder (or --resume to continue the run in it), got config.json of an earlier run',
    )
    expect(await readFile(join(cwd, 'earlier', 'config.json'), 'utf8')).toBe(config)
  })

  it('--run that is not a run', async () => {
    expect(await mistake(['evaluate', '--run', 'tiny/none', '--quiet'], 1)).toBe(
      '--run tiny/none: expected the folder of a run of salora train, got no config.json there',
    )
  })

  it('--run that was stopped before it had an adapter', async () => {
    await mkdir(join(cwd, 'begun'))
    await writeFile(join(cwd, 'begun', 'config.json'), JSON.stringify({ formatVersion: 2, model: 'm', task: {}, settings: {} }))
    for (const args of [['evaluate'], ['export', '--format', 'merged', '--output', 'new']])
      expect(await mistake([...args, '--run', 'begun', '--quiet'], 1)).toBe(
        '--run begun: expected a run with an adapter, got one without (it has not ended: salora train --resume --output begun resumes it)',
      )
  })

  it('--run that is in a run, or around runs: that run, or the newest, is suggested', async () => {
    const config = JSON.stringify({ formatVersion: 2, model: 'm', task: {}, settings: {} })
    for (const [name, seconds] of [
      ['older', 1_000],
      ['newest', 3_000],
      ['old', 2_000],
    ] as const) {
      await mkdir(join(cwd, 'around', name, 'adapter'), { recursive: true })
      await writeFile(join(cwd, 'around', name, 'config.json'), config)
      await utimes(join(cwd, 'around', name, 'config.json'), seconds, seconds)
    }
    const suggested = async (run: string) => /no config\.json there(.*)$/.exec(await mistake(['predict', '--run', run, '--quiet'], 1))?.[1]
    expect(await suggested('around')).toBe(' (did you mean --run around/newest?)')
    expect(await suggested('around/old/adapter')).toBe(' (did you mean --run around/old?)')
    expect(await suggested('tiny/adapter')).toBe('')
    await mkdir(join(cwd, 'sweep', 'cells', 'lora-0'), { recursive: true })
    expect(await suggested('sweep')).toBe(' (the folder of a sweep: its runs are in sweep/cells)')
  })
})
