/** Concurrent processes: none writes into the folder of another's run, and each new run gets its own folder. */
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RunOptions } from '../../finetuning/run/run.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { jsonLines } from '../support/jsonLines.js'
import { salora } from './spawnSalora.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('together')

const train = (...args: readonly string[]): readonly string[] => [...toyTrain, ...['--threads', '1', '--save-steps', '2'], ...args]
const linesOf = async (output: string) =>
  jsonLines<{ readonly kind: string; readonly step: number }>(await readFile(join(cwd, output, 'metrics.jsonl'), 'utf8'))
const stepsOf = async (output: string) => (await linesOf(output)).filter(({ kind }) => kind === 'step').map(({ step }) => step)
const upTo = (steps: number): readonly number[] => Array.from({ length: steps }, (_, i) => i + 1)

describe('the folder of a running run', () => {
  /** Runs to its end; once it has saved something it lives, silent, as long as `meanwhile` takes. */
  const interruptedBy = async <T>(output: string, meanwhile: () => Promise<T>) => {
    let met: Promise<T> | null = null
    const first = await salora(train('--output', output, '--max-steps', '40', '--quiet'), {
      cwd,
      onStart: (child) => {
        const polling = setInterval(() => {
          if (!existsSync(join(cwd, output, 'checkpoints', 'step-000000002.safetensors'))) return
          clearInterval(polling)
          child.kill('SIGSTOP')
          met = meanwhile().finally(() => child.kill('SIGCONT'))
        }, 5)
        child.once('exit', () => clearInterval(polling))
      },
    })
    return { first, met: await (met as Promise<T> | null) }
  }

  it.each([
    [
      'resumes it',
      ['--resume'],
      /^--output run-0: expected a folder that no other process is at work in, got process \d+ on \S+ \(run-0\/lock-[0-9a-f]{12}\.json\)\n$/,
    ],
    ['begins it', [], /got config\.json of an earlier run\n$/],
  ])('refuses a second process that %s, and is free when the run ends', async (_, how, refusal) => {
    const output = `run-${how.length === 1 ? 0 : 1}`
    const { first, met } = await interruptedBy(output, () =>
      salora(train('--output', output, '--max-steps', '40', '--quiet', ...how), { cwd }),
    )
    expect(met).toMatchObject({ code: 1, stderr: expect.stringMatching(refusal) as string })
    expect(first.code).toBe(0)
    expect(await stepsOf(output)).toEqual(upTo(40))
    expect((await readdir(join(cwd, output))).sort()).toEqual([
      ...['adapter', 'checkpoints', 'config.json', 'evaluation.json', 'metrics.jsonl', 'result.json', 'rows.json'],
    ])
  })
})

it('three concurrent runs without --output get a folder each', async () => {
  const runs = await Promise.all(
    [1, 2, 3].map((seed) => salora(train('--max-steps', '8', '--json', '--quiet', '--seed', String(seed)), { cwd })),
  )
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0])
  const results = runs.map(({ stdout }) => JSON.parse(stdout) as { readonly seed: number; readonly output: string })
  expect(results.map(({ output }) => output).sort()).toEqual([1, 2, 3].map((n) => join('runs', `toy-salora-${n}`)))
  for (const { seed, output } of results) {
    expect(JSON.parse(await readFile(join(cwd, output, 'result.json'), 'utf8'))).toMatchObject({ seed, output })
    expect(await stepsOf(output)).toEqual(upTo(8))
  }
})

it('runs without --output that cannot start leave nothing, and other runs stay', async () => {
  const refused = (): Promise<{ readonly code: number | null }> =>
    salora(['train', '--model', 'nowhere/at-all', '--task', 'toy.tsv'], { cwd: alone })
  const alone = join(cwd, 'alone')
  await mkdir(alone)
  expect((await Promise.all([refused(), refused(), refused()])).map(({ code }) => code)).toEqual([1, 1, 1])
  expect(await readdir(alone)).toEqual([])
  await mkdir(join(alone, 'runs', 'toy-lora-1'), { recursive: true })
  expect((await refused()).code).toBe(1)
  expect(await readdir(join(alone, 'runs'))).toEqual(['toy-lora-1'])
})

it('a program that leaves a run can resume it at once in the same process', async () => {
  const { finetune } = (await import(new URL('../../dist/finetuning/finetune.js', import.meta.url).href)) as {
    readonly finetune: typeof import('../../finetuning/finetune.js').finetune
  }
  const settings = resolveSettings({ maxSteps: 6, maxLength: 16, saveSteps: 2, device: 'cpu', threads: 1 })
  const options: RunOptions = {
    model: join(cwd, 'tiny'),
    task: { task: join(cwd, 'toy.tsv') },
    output: join(cwd, 'left'),
    resume: false,
    settings,
  }
  for await (const event of finetune(options)) if (event.kind === 'saved') break
  const kinds: string[] = []
  for await (const event of finetune({ ...options, resume: true })) kinds.push(event.kind)
  expect(kinds.at(-1)).toBe('result')
  expect(await stepsOf('left')).toEqual(upTo(6))
})
