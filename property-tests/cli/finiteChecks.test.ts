/** Numbers that are not finite in a run: one line that says where, exit code 1, and a run that can be resumed. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import { outputOf, trainOnce, type Killable } from './killedRun.js'
import { savedState } from './savedState.js'
import { saloraIn } from './inProcess.js'
import { toyFolder } from './toyFolder.js'
import { sharedTexts, shortWindow } from './toyTask.js'

const cwd = toyFolder('accident', { 'toy.tsv': 40, 'dev.tsv': 16 })

/** A learning rate that rises from 0 by 1e24 a step: B A overflows soon after the first steps. */
const exploding = (name: string, saveSteps: number): Killable => ({
  folder: join(cwd, name),
  settings: [
    ...'--set gate-start=0.2,gate-end=0.5 --max-steps 20 --batch-size 4 --learning-rate 2e25 --warmup-ratio 1 --head transformers'.split(
      ' ',
    ),
    ...'--save-steps'.split(' '),
    String(saveSteps),
  ],
})

describe('a loss or a gradient that is not finite', () => {
  it('ends the run with the step, the rows of its batch and the last checkpoint; resuming gives the same error', async () => {
    const run = exploding('saved', 1)
    const { code, stderr } = await trainOnce(run, false, null)
    expect(code).toBe(1)
    const [, step, rows, path, good] =
      /^step (\d+): expected .*, got .*; the batch is rows ([\d, ]+); the last good checkpoint is (run\/checkpoints\/step-\d{9}\.safetensors), after step (\d+)\n$/.exec(
        stderr,
      ) ?? []
    expect(stderr).toMatch(
      /expected (a finite loss and gradient, got loss \S+ and gradient norm \S+|finite gradients, got one that makes a parameter \S+);/,
    )
    expect(Number(step)).toBeGreaterThan(1)
    expect(Number(good)).toBe(Number(step) - 1)
    // rows of the file, whose header is row 1
    expect(rows?.split(', ')).toHaveLength(4)
    for (const row of rows?.split(', ') ?? [])
      expect((await readFile(join(cwd, 'toy.tsv'), 'utf8')).split('\n')[Number(row) - 1]).toMatch(/film number/)

    const kept = await savedState(outputOf(run), join(cwd, 'tiny')) // which is read only where all its numbers are finite
    expect(join('run/checkpoints', `step-${String(kept.step).padStart(9, '0')}.safetensors`)).toBe(path)
    expect((await readFile(join(outputOf(run), 'metrics.jsonl'), 'utf8')).split('\n')).toHaveLength(Number(step))
    expect(await readdir(outputOf(run))).not.toContain('result.json')
    expect(await trainOnce(run, true, null)).toMatchObject({ code, stderr })
  })

  it('is reported without a checkpoint if none was saved', async () => {
    const run = exploding('unsaved', 20)
    const step = /^step (\d+): .*; no checkpoint was saved before it\n$/.exec((await trainOnce(run, false, null)).stderr)?.[1]
    expect((await readFile(join(outputOf(run), 'metrics.jsonl'), 'utf8')).split('\n')).toHaveLength(Number(step)) // of the steps before it, and the last line's end
  })
})

describe('a model that predicts one class only', () => {
  it('gives a warning with the class at the evaluation', async () => {
    // a head that hardly moves from where it began answers everything alike
    const { code, stderr } = await saloraIn(
      [
        ...'train --method salora --model tiny --task toy.tsv --head transformers --eval-data dev.tsv --max-length 16'.split(' '),
        ...['--set', 'gate-start=0.2,gate-end=0.5'],
        ...'--max-steps 6 --eval-steps 3 --learning-rate 1e-9 --device cpu --output constant --quiet'.split(' '),
      ],
      { cwd },
    )
    expect(code).toBe(0)
    expect(stderr.replace(sharedTexts, '').replace(shortWindow, '')).toMatch(
      /^(warning: step [36]: every example of the evaluation is predicted as (good|bad)\n){2}$/,
    )
  })

  it('gives no warning before training', async () => {
    const settings = resolveSettings({
      ...{ method: 'salora', maxSteps: 2, gateStart: 0, maxLength: 16, learningRate: 1e-9, device: 'cpu', head: 'transformers' },
    })
    const warnings: string[] = []
    const options = {
      model: join(cwd, 'tiny'),
      task: { task: join(cwd, 'toy.tsv') },
      output: join(cwd, 'start'),
      resume: false,
      evalOnStart: true,
      settings,
    }
    for await (const event of finetuneJob(options, new AbortController().signal)) {
      if (event.kind === 'warning') warnings.push(event.message)
    }
    expect(warnings).toEqual([
      expect.stringMatching(/^gates are sampled in only 1 step: /),
      expect.stringMatching(/^step 2: every example of the evaluation is predicted as (good|bad)$/),
    ])
  })
})
