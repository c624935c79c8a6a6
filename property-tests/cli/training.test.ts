/** One run from end to end: the run folder, and evaluate and predict with it. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadLowRank } from '../../accelerated/formats/peft/loadPeft.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { salora, type Finished } from './spawnSalora.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('cli', { 'toy.tsv': 80 })
let trained: Finished
beforeAll(async () => {
  await writeFile(
    join(cwd, 'settings.json'),
    JSON.stringify({
      ...{ method: 'salora', model: 'tiny', task: 'toy.tsv', maxLength: 16, maxSteps: 99, batchSize: 8, learningRate: 0.02 },
      ...{ device: 'cpu', rank: 4, evalSteps: 4 },
    }),
  )
  const window = ['--set', 'gate-start=0.2,gate-end=0.5']
  trained = await salora(['train', '--config', 'settings.json', '--max-steps', '12', ...window, '--seed', '7', '--json'], { cwd })
})

const run = (...path: readonly string[]): string => join(cwd, 'runs', 'toy-salora-1', ...path)
const json = async (path: string): Promise<Record<string, unknown>> => JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>

describe('salora train', () => {
  it('prints result.json as one document on standard output, and progress on standard error', async () => {
    expect(trained.code).toBe(0)
    expect(JSON.parse(trained.stdout)).toEqual(await json(run('result.json')))
    expect(trained.stderr).toContain('\nmethod: salora (structure-aware low-rank adaptation: ')
    expect(trained.stderr).toContain('12 steps, 9 per epoch; gates are sampled in steps 4 to 6\n')
    expect(trained.stderr).toContain('step 3: gates are sampled from here on\n')
    expect(trained.stderr).not.toMatch(/[\r\u001b]/) // no bar on a pipe
  })

  it('warns of texts that --max-length truncates, with their number, as evaluate and predict do', async () => {
    const row = (i: number): string => `${'film '.repeat(i % 4 === 0 ? 30 : 2).trim()} ${i}\t${i % 2}`
    await writeFile(join(cwd, 'long.tsv'), ['text\tlabel', ...Array.from({ length: 40 }, (_, i) => row(i)), ''].join('\n'))
    const of = (maxLength: string) =>
      saloraIn(
        [
          ...['train', '--model', 'tiny', '--task', 'long.tsv', '--method', 'lora', '--max-steps', '1', '--device', 'cpu', '--quiet'],
          ...['--max-length', maxLength, '--output', `length-${maxLength}`],
        ],
        { cwd },
      )
    expect((await of('16')).stderr).toContain('warning: 10 of 40 texts are longer than --max-length 16 and are truncated\n')
    expect((await of('78')).stderr).not.toContain('--max-length')
    const warning = (counts: string): string => `warning: ${counts} texts are longer than --max-length 16 and are truncated\n`
    const scored = (run: string) => saloraIn(['evaluate', '--run', run, '--eval-data', 'long.tsv', '--quiet'], { cwd })
    expect((await scored('length-16')).stderr).toContain(warning('10 of 40'))
    expect((await scored('length-78')).stderr).not.toContain('--max-length')
    const predicted = (run: string) => saloraIn(['predict', '--run', run, '--quiet'], { cwd, input: `${'film '.repeat(30)}\ngood film\n` })
    expect((await predicted('length-16')).stderr).toBe(warning('1 of 2'))
    expect((await predicted('length-78')).stderr).toBe('')
  })

  it('writes the documented files of the run folder', async () => {
    expect((await readdir(run())).sort()).toEqual(
      'adapter checkpoints config.json evaluation.json metrics.jsonl result.json rows.json'.split(' '),
    )
    const config = await json(run('config.json'))
    expect(Object.keys(config)).toEqual(expect.arrayContaining(['model', 'task', 'settings', 'device', 'versions']))
    // the flag wins over the file, the file over the default
    expect(config['settings']).toMatchObject({
      ...{ maxSteps: 12, seed: 7, rank: 4, learningRate: 0.02, batchSize: 8, density: 0.5, method: 'salora' },
    })
    expect(config['device']).toBe('cpu')
    const result = await json(run('result.json'))
    for (const key of 'best last trainableParameters expectedDensity retainedDensity ranks orthogonality seconds peakMemoryBytes device'.split(
      ' ',
    ))
      expect(result).toHaveProperty(key)
    const weights = await readFile(join(cwd, 'tiny', 'model.safetensors'))
    const header = JSON.parse(weights.subarray(8, 8 + Number(weights.readBigUInt64LE(0))).toString()) as Readonly<
      Record<string, { readonly shape?: readonly number[] }>
    >
    const encoder = Object.entries(header).filter(([name]) => !/__metadata__|classifier|pooler|lm_head|position_ids/.test(name))
    const count = encoder.reduce((sum, [, { shape = [] }]) => sum + shape.reduce((a, b) => a * b, 1), 0)
    expect(result['modelParameters']).toBe(count)
    expect(Date.now() - Date.parse(String(result['finishedAt']))).toBeLessThan(600_000)
  })

  it('logs one line per step and one per evaluation', async () => {
    const lines = jsonLines<Record<string, unknown>>(await readFile(run('metrics.jsonl'), 'utf8'))
    const steps = lines.filter(({ kind }) => kind === 'step')
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    for (const step of steps) {
      for (const key of 'step epoch loss taskLoss orthogonality orthogonalityA orthogonalityB density lambda learningRate gradientNorm tokensPerSecond'.split(
        ' ',
      ))
        expect(step).toHaveProperty(key)
    }
    expect(steps.filter(({ density }) => density !== null).map(({ step }) => step)).toEqual([4, 5, 6])
    expect(lines.filter(({ kind }) => kind === 'evaluation').map(({ step }) => step)).toEqual([4, 8, 12])
    // the gate window is [⌈0.2 · 12⌉, ⌈0.5 · 12⌉) in steps done
    expect(lines.filter(({ kind }) => kind === 'gated')).toEqual([{ kind: 'gated', step: 3 }])
    const { expectedDensity, retainedDensity, ranks, lambda } = await json(run('result.json'))
    expect(lines.filter(({ kind }) => kind === 'retained')).toEqual([
      { kind: 'retained', step: 6, expectedDensity, retainedDensity, ranks, lambda },
    ])
    expect(steps.filter(({ lambda }) => lambda !== null).map(({ step }) => step)).toEqual([4, 5, 6])
  })

  it('warns if gates are sampled in too few steps', () =>
    expect(trained.stderr).toContain(
      'warning: gates are sampled in only 3 steps: below 40 steps, the density may miss its target and the choice of ranks may be poor. A run of 134 steps is long enough\n',
    ))

  it('has no gates with --method lora: not in its lines, its result, its flags or its parameters', async () => {
    const args = ['train', '--config', 'settings.json', '--max-steps', '2', '--method', 'lora', '--output', 'plain', '--quiet', '--json']
    const { code, stdout } = await saloraIn(args, { cwd })
    expect(code).toBe(0)
    const lines = jsonLines<object>(await readFile(join(cwd, 'plain', 'metrics.jsonl'), 'utf8'))
    const ofGates = ['density', 'lambda', 'orthogonality', 'targetDensity', 'expectedDensity', 'retainedDensity', 'retainedParameters']
    const { settings } = await json(join(cwd, 'plain', 'config.json'))
    for (const written of [...lines, JSON.parse(stdout) as object, settings as object])
      for (const key of ofGates) expect(written).not.toHaveProperty(key)
    expect(lines).toHaveLength(3)
    expect(JSON.parse(stdout)).toMatchObject({ trainableParameters: { adapter: 4 * 448, head: 306 } })
    expect((JSON.parse(stdout) as RunResult).trainableParameters).not.toHaveProperty('gates')
    const refused = await saloraIn([...args, '--output', 'refused', '--density', '0.5'], { cwd })
    expect([refused.code, refused.stderr]).toEqual([
      2,
      '--density: expected a setting of method lora, got 0.5 (it belongs to salora: use --method salora)\n',
    ])
  })

  it('saves an adapter with the ranks of the result, within the budget', async () => {
    const { ranks = {}, retainedDensity, retainedParameters } = (await json(run('result.json'))) as unknown as RunResult
    const { model, outputs } = await openModelFolder(join(cwd, 'tiny'))
    const adapter = await loadLowRank(run('adapter'), model, outputs)
    expect(retainedDensity).toBeLessThanOrEqual(0.5)
    expect(Object.keys(ranks)).toEqual(model.spec.matrices.map(({ name }) => name))
    for (const [name, rank] of Object.entries(ranks)) expect([name, adapter.modules.get(name)?.A.shape[0] ?? 0]).toEqual([name, rank])
    expect([...adapter.modules.values()].reduce((sum, { A, B }) => sum + A.data.length + B.data.length, 0)).toBe(retainedParameters)
    expect(adapter.labelNames).toEqual(['bad', 'good'])
  })
})

describe('salora evaluate', () => {
  it('gives the score of the run on its held-out part', async () => {
    const { last } = (await json(run('result.json'))) as unknown as RunResult // eight rows choose no step
    const { code, stdout } = await saloraIn(['evaluate', '--run', 'runs/toy-salora-1', '--json', '--quiet'], { cwd })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ scores: last.scores, examples: 8, device: 'cpu', majority: { label: 'bad', share: 0.5 } })
  })
})

describe('salora predict', () => {
  const predict = (input: string | Uint8Array, ...flags: readonly string[]) =>
    salora(['predict', '--run', 'runs/toy-salora-1', ...flags], { cwd, input })

  it('prints one JSON line per line, in order', async () => {
    const { code, stdout } = await predict('good fine great film\nbad awful poor film\na text with a second one')
    expect(code).toBe(0)
    const answers = jsonLines<{ label: string; score: number; scores: Record<string, number> }>(stdout)
    expect(answers).toHaveLength(3)
    for (const { label, score, scores } of answers) {
      expect(Object.keys(scores)).toEqual(['bad', 'good'])
      expect((scores['bad'] ?? NaN) + (scores['good'] ?? NaN)).toBeCloseTo(1, 12)
      expect(score).toBe(Math.max(...Object.values(scores)))
      expect(scores[label]).toBe(score)
    }
  })

  it('prints an error in place of an invalid line, and exits with 1', async () => {
    const { code, stdout, stderr } = await predict(Buffer.from('good\n\ncaf\xe9\nbad\n', 'latin1'), '--json', '--quiet')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject([
      { scores: {} },
      { error: 'expected a text, got an empty one' },
      { error: 'expected text in UTF-8, got other bytes' },
      { scores: {} },
    ])
    expect(stderr).toBe('standard input, line 2: expected a text, got an empty one (and 1 more invalid lines)\n')
  })

  it('prints nothing for empty input', async () => {
    expect(await predict('', '--json', '--quiet')).toMatchObject({ code: 0, stdout: '[]\n', stderr: '' })
  })
})

describe('salora quickstart', () => {
  it('prints scores before and after training, the budget and the ranks', async () => {
    const { code, stdout } = await saloraIn(
      ['quickstart', '--model', 'tiny', '--max-steps', '8', '--device', 'cpu', '--output', 'quick', '--quiet'],
      { cwd },
    )
    expect(code).toBe(0)
    expect(stdout).toMatch(/^trained 8 steps\n\nscores +before +best \(step 8\)\n +accuracy +0\.\d{4} +0\.\d{4}\n/)
    expect(stdout).toMatch(/budget +target 50\.0 %, retained (50\.0|4\d\.\d) %/)
    expect(stdout).toContain('  layer  query  key  value  attention output  intermediate  output\n')
    expect(stdout).toMatch(/run +quick\n/)
    // and ends with its report
    const page = join(cwd, 'quick', 'report.html')
    const [inIt, where] = stdout.trimEnd().split('\n').slice(-2)
    expect(inIt).toMatch(/^report {6}quick\/report\.html: 1 run, 4 tables, \d+ figures$/)
    expect(where).toMatch(/^open it {5}file:\/\/\/.*\/quick\/report\.html$/)
    expect(await readFile(page, 'utf8')).toContain('Ranks by matrix (Figure 7)')
  })
})
