/** Scores that cannot mislead: the order of classes, the class of F1, the step of the adapter, and outputs that are not finite. */
import { existsSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { readSafetensors, readTensor } from '../../accelerated/checkpoints/safetensors/safetensors.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { writeAdapter } from './tinyAdapter.js'
import { toyRows } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('scoring')
beforeAll(async () => {
  const model = join(cwd, 'tiny')
  // as PEFT leaves it: no file says what the outputs are called
  await writeAdapter(join(cwd, 'elsewhere'), model, ['bad', 'good'])
  await rm(join(cwd, 'elsewhere', 'salora.json'))
  await writeAdapter(join(cwd, 'broken'), model, ['bad', 'good'])
  const file = join(cwd, 'broken', 'adapter_model.safetensors')
  const tensors = new Map()
  for (const [name, entry] of (await readSafetensors(file)).tensors)
    tensors.set(name, { shape: entry.shape, data: (await readTensor(entry)).map((x) => (name.includes('lora_') ? 1e25 * x : x)) })
  await writeFile(file, writeSafetensors(tensors, { format: 'pt' }))
})

type Scored = { readonly scores: Record<string, number>; readonly byClass: unknown; readonly confusion: readonly (readonly number[])[] }
const run = (command: string, ...flags: readonly string[]) =>
  saloraIn([command, '--model', 'tiny', '--max-length', '16', '--device', 'cpu', '--quiet', ...flags], { cwd, input: 'good film\n' })
const evaluate = (...flags: readonly string[]) => run('evaluate', '--task', 'toy.tsv', ...flags)
const trained = (output: string, ...flags: readonly string[]) =>
  run(
    'train',
    ...'--task toy.tsv --method lora --max-steps 8 --batch-size 8 --eval-steps 1 --learning-rate 0.02 --output'.split(' '),
    output,
    ...flags,
  )

describe('an adapter without class names', () => {
  it('is not scored in alphabetical order: evaluate requires the names in the order of the outputs', async () => {
    const { code, stdout, stderr } = await evaluate('--adapter', 'elsewhere')
    expect([code, stdout, stderr]).toEqual([
      2,
      '',
      '--labels: expected the 2 classes of the adapter in the order of its outputs (such as bad,good), since neither adapter nor model names them, got none given\n',
    ])
  })

  it('uses the names of --labels for scores, predictions and exports', async () => {
    const [one, other] = await Promise.all(
      ['bad,good', 'good,bad'].map(
        async (labels) => JSON.parse((await evaluate('--adapter', 'elsewhere', '--labels', labels, '--json')).stdout) as Scored,
      ),
    )
    expect((one?.scores['accuracy'] ?? NaN) + (other?.scores['accuracy'] ?? NaN)).toBeCloseTo(1, 12)
    const scoresOf = async (labels: string) =>
      (JSON.parse((await run('predict', '--adapter', 'elsewhere', '--labels', labels)).stdout) as { scores: Record<string, number> }).scores
    const [first, second] = [await scoresOf('bad,good'), await scoresOf('good,bad')]
    expect([first['bad'], first['good']]).toEqual([second['good'], second['bad']])
    await saloraIn(
      ['export', '--model', 'tiny', '--adapter', 'elsewhere', '--labels', 'no,yes', '--format', 'merged', '--output', 'merged'],
      { cwd },
    )
    expect(JSON.parse(await readFile(join(cwd, 'merged', 'config.json'), 'utf8'))).toMatchObject({ id2label: { 0: 'no', 1: 'yes' } })
  })

  it('refuses --labels if their number is wrong', async () => {
    const errorOf = async (...flags: readonly string[]) => (await evaluate(...flags)).stderr
    expect(await errorOf('--adapter', 'elsewhere', '--labels', 'a,b,c')).toBe(
      '--labels: expected 2 names, as the adapter has outputs, each once, got a,b,c\n',
    )
  })
})

describe('salora evaluate', () => {
  it('prints macro-F1, loss, a report by class and a confusion matrix, but no F1 without --positive-label', async () => {
    const { stdout } = await evaluate('--adapter', 'elsewhere', '--labels', 'bad,good')
    expect(stdout).not.toMatch(/^f1 /m)
    for (const line of [
      /^macroF1 +0\.\d{4}$/m,
      /^loss +\d+\.\d{4}$/m,
      /^class +precision +recall +f1 +examples$/m,
      /^bad( +[01]\.\d{4}){3} +20$/m,
      /^label, predicted as +bad +good$/m,
    ])
      expect(stdout).toMatch(line)
    const { confusion } = JSON.parse((await evaluate('--adapter', 'elsewhere', '--labels', 'bad,good', '--json')).stdout) as Scored
    expect(confusion.map((row) => row.reduce((a, b) => a + b, 0))).toEqual([20, 20])
  })

  it('prints F1 for the class of --positive-label', async () => {
    const [bad, good] = await Promise.all(
      ['bad', 'good'].map(async (positive) => {
        const { stdout } = await evaluate('--adapter', 'elsewhere', '--labels', 'bad,good', '--positive-label', positive, '--json')
        return (JSON.parse(stdout) as Scored).scores
      }),
    )
    expect(((bad?.['f1'] ?? NaN) + (good?.['f1'] ?? NaN)) / 2).toBeCloseTo(good?.['macroF1'] ?? NaN, 12)
  })
})

describe('the step of the saved adapter', () => {
  it('is the best by --metric-for-best-model, and the summary names it', async () => {
    const { stdout } = await trained('by-loss', '--metric-for-best-model', 'loss', '--positive-label', 'good')
    expect(stdout).toMatch(/^ {2}f1 is for the class "good"$/m)
    const { best, selectedBy, kept } = JSON.parse(await readFile(join(cwd, 'by-loss', 'result.json'), 'utf8')) as RunResult
    const evaluations = jsonLines<{ kind: string; step: number; scores: Record<string, number> }>(
      await readFile(join(cwd, 'by-loss', 'metrics.jsonl'), 'utf8'),
    ).filter(({ kind }) => kind === 'evaluation')
    const least = Math.min(...evaluations.map(({ scores }) => scores['loss'] ?? NaN))
    expect([best?.scores['loss'], selectedBy, kept]).toEqual([least, 'loss', { which: 'best', step: best?.step }])
    expect(stdout).toMatch(/^adapter +by-loss\/adapter \(step \d, the best loss; --no-load-best-model-at-end saves the last\)$/m)
  })

  it('is the last with --no-load-best-model-at-end', async () => {
    // a rate that ruins what it had learned
    const { stdout } = await trained('last', '--no-load-best-model-at-end', '--learning-rate', '3')
    const { best, last, kept } = JSON.parse(await readFile(join(cwd, 'last', 'result.json'), 'utf8')) as RunResult
    expect(stdout).toMatch(/^adapter +last\/adapter \(step 8, the last: 4 rows are too few to choose one\)$/m)
    expect(kept).toEqual({ which: 'last', step: 8 })
    expect(best?.scores['loss']).not.toBe(last.scores['loss'])
    const { stdout: scored } = await saloraIn(['evaluate', '--run', 'last', '--json', '--quiet'], { cwd })
    expect((JSON.parse(scored) as Scored).scores['loss']).toBeCloseTo(last.scores['loss'] ?? NaN, 5)
  })
})

describe('outputs that are not finite', () => {
  it('give an error instead of a prediction, and exit code 1', async () => {
    const { code, stdout, stderr } = await run('predict', '--adapter', 'broken')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toEqual({ error: 'expected finite outputs of model and adapter, got NaN, NaN' })
    expect(stderr).toBe('standard input, line 1: expected finite outputs of model and adapter, got NaN, NaN\n')
  })

  it('are not exported', async () => {
    const { code, stderr } = await saloraIn(
      ['export', '--model', 'tiny', '--adapter', 'broken', '--format', 'peft', '--output', 'nan', '--quiet'],
      { cwd },
    )
    expect([code, stderr]).toEqual([1, 'broken: expected finite outputs of model, adapter and export, got NaN\n'])
    expect(existsSync(join(cwd, 'nan'))).toBe(false)
  })
})

describe('invisible characters', () => {
  it('such as escape sequences in labels do not reach the terminal', async () => {
    const [red, csi] = ['\u001b[31mbad', 'good\u009b1A']
    const rows = toyRows(40).map(({ text, label }) => `${text}\t${label === 'bad' ? red : csi}`)
    await writeFile(join(cwd, 'escapes.tsv'), ['text\tlabel', ...rows].join('\n'))
    const flags = ['--task', 'escapes.tsv', '--method', 'lora', '--max-steps', '2', '--learning-rate', '1e-9', '--output', 'escapes']
    const loud = ['--model', 'tiny', '--max-length', '16', '--device', 'cpu']
    const outputs = [
      await saloraIn(['train', ...loud, ...flags], { cwd }),
      await saloraIn(['evaluate', '--run', 'escapes'], { cwd }),
      await saloraIn(['evaluate', '--run', 'escapes', '--json'], { cwd }),
      await saloraIn(['predict', '--run', 'escapes'], { cwd, input: 'good film\n' }),
      await saloraIn(['evaluate', '--run', 'escapes', '--positive-label', 'neither'], { cwd }),
    ]
    for (const { stdout, stderr } of outputs) expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    expect(outputs.slice(0, 4).map(({ code }) => code)).toEqual([0, 0, 0, 0])
    expect(Object.keys((JSON.parse(outputs[3]?.stdout ?? '') as { scores: object }).scores).sort()).toEqual([red, csi].sort())
  })
})
