/** The trial on a GPU, rehearsed on the processor with tiny shapes. Each stage ends in facts or in one line, and both files hold them all. */
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runStages } from '../../../evaluation/gpu/runStages.js'
import type { Facts, Outcome, TrialOptions } from '../../../evaluation/gpu/stage.js'
import { stages } from '../../../evaluation/gpu/stages/index.js'
import { trialPage } from '../../../evaluation/gpu/trialTable.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-trial-'))
})
afterAll(() => rm(folder, { recursive: true }))

type Ended = { readonly code: number | null; readonly stdout: string; readonly stderr: string }
const trial = (...args: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((ended) => {
    const child = spawn(process.execPath, [resolve('dist/evaluation/gpu/trial.js'), ...args], { cwd: folder })
    let [stdout, stderr] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('close', (code) => ended({ code, stdout, stderr }))
  })

const options: TrialOptions = { device: 'cpu', python: null, model: null, data: null, repeats: 2, small: true }

describe('the trial on a GPU', () => {
  it('runs its stages on the processor, and records those that the processor refuses', async () => {
    const only = 'doctor,agreement-float32,speed-encoder-float32,speed-encoder-tf32,mrpc,resume'
    const { code, stdout, stderr } = await trial('--device', 'cpu', '--small', '--only', only, '--output', 'tried')
    expect([code, stderr.trim().split('\n').length]).toEqual([0, 6])
    const { outcomes } = JSON.parse(await readFile(join(folder, 'tried/trial.json'), 'utf8')) as {
      readonly outcomes: ReadonlyArray<Outcome>
    }
    const of = (stage: string): Facts & { readonly failed?: string } => {
      const outcome = outcomes.find((one) => one.stage === stage)
      return outcome === undefined ? {} : 'facts' in outcome ? outcome.facts : { failed: outcome.failed }
    }
    expect(outcomes.map(({ stage }) => stage)).toEqual(only.split(','))
    expect(of('doctor')).toMatchObject({ device: 'cpu', card: null })
    expect(of('agreement-float32')).toMatchObject({ steps: 20, largestDifference: 0, sameRanks: true })
    expect(of('speed-encoder-float32')).toMatchObject({ batch: [2, 8], peer: null, ours: { precision: 'float32', cardBytes: null } })
    expect(of('speed-encoder-tf32').failed).toMatch(/tf32: expected none on cpu \(only cuda has it\), got true$/)
    expect(of('mrpc')).toMatchObject({ task: 'sentences.jsonl', steps: 4 })
    expect(of('resume')).toMatchObject({ steps: 20, largestDifference: 0, sameBits: true })
    const page = await readFile(join(folder, 'tried/trial.md'), 'utf8')
    expect(stdout.trim()).toBe(page.trim())
    expect(page).toContain('A rehearsal with tiny shapes')
    expect(page).toContain("| Step of RoBERTa-base's shape, 32 × 128 tokens, TF32 | failed: ")
    expect(page).toMatch(/\| Killed and resumed \| losses within 0\.0e\+0, the same bits \|/)
    expect(page).toMatch(/\| Step of RoBERTa-base's shape, 32 × 128 tokens, float32 \| float32 \| [\d.]+ \| – \| – \| – \| – \| – \|/)
  }, 120_000)

  it.each([
    [['--only', 'speed'], `--only: expected some of ${stages.map(({ name }) => name).join(', ')}, got "speed"`],
    [['--device', 'abacus'], 'device: expected one of cpu, webgpu, cuda, got abacus'],
    [['--repeats', '0'], '--repeats: expected a whole number from 1 to 10000, got 0'],
  ])('refuses wrong usage in one line: %j', async (args, line) => {
    expect(await trial(...args)).toMatchObject({ stdout: '', stderr: `${line}\n` })
  })

  it('records a stage whose process crashes, hangs, or does not know the stage', async () => {
    const program = join(folder, 'stage.mjs')
    await writeFile(
      program,
      `const [, , name] = process.argv
       if (name === 'crash') process.kill(process.pid, 'SIGSEGV')
       if (name === 'leave') { console.error('CUDA failure 999: unknown error'); process.exit(3) }
       if (name === 'hang') setInterval(() => undefined, 1000)
       if (name === 'work') process.send({ facts: { device: 'card' } }, () => process.disconnect())`,
    )
    const all = ['crash', 'leave', 'hang', 'work'].map((name) => ({ name, title: name }))
    const outcomes: Outcome[] = []
    for await (const outcome of runStages(all, options, { program, limit: 3_000, folder: join(folder, 'stages') })) outcomes.push(outcome)
    expect(outcomes.map((outcome) => ('failed' in outcome ? outcome.failed : outcome.facts))).toEqual([
      'crash: expected a process that ends by itself, got SIGSEGV',
      'leave: expected a process that ends by itself, got exit code 3: CUDA failure 999: unknown error',
      'hang: expected a process that ends by itself, got more than 3 s',
      { device: 'card' },
    ])
    expect(trialPage(outcomes, options)).toContain('| work | works |')
    const own = resolve('dist/evaluation/gpu/stageProcess.js')
    for await (const outcome of runStages([{ name: 'none', title: 'none' }], options, {
      program: own,
      limit: 60_000,
      folder: join(folder, 'own'),
    }))
      expect(outcome).toMatchObject({ failed: 'none: expected a stage, got another name' })
  }, 60_000)
})
