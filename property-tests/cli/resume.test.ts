/** A run that is killed at any moment, any number of times, ends in the same bits. */
import { cp, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { uniforms } from '../../accelerated/parameters/random.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { RunOptions } from '../../finetuning/run/run.js'
import { SEED } from '../support/seed.js'
import { killAgainAndAgain, outputOf, remains, trainOnce, type Killable, type Moment } from './killedRun.js'
import { toyFile } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const steps = 32
/** Gates are sampled in steps 11 to 18. Evaluations are at 8, 16, 24 and 32. The epochs have 10 steps. */
const shared = [
  '--max-steps',
  String(steps),
  ...'--learning-rate 0.01 --dropout 0.2 --set gate-start=0.3,gate-end=0.56 --eval-steps 8'.split(' '),
]
const variants = {
  often: [...shared, '--batch-size', '4', '--save-steps', '3', '--threads', '1'],
  accumulated: [...shared, '--batch-size', '2', '--gradient-accumulation-steps', '2', '--precision', 'float64'],
} as const

/** Other texts, each with the other label: scores stay equal while the loss rises, so the best step is not the last. */
const mislabeled = (rows: number): string =>
  toyFile(rows)
    .replaceAll(/number (\d+)/g, 'scene $1')
    .replaceAll(/\t(good|bad)$/gm, (_, label) => (label === 'good' ? '\tbad' : '\tgood'))

const cwd = toyFolder('resume')
const runIn = (name: string, variant: keyof typeof variants = 'often'): Killable => ({
  folder: join(cwd, name),
  settings: variants[variant],
})
const file = (step: number): string => `checkpoints/step-${String(step).padStart(9, '0')}.safetensors`

const uninterrupted: Record<string, { readonly remains: Readonly<Record<string, string>>; readonly moments: readonly string[] }> = {}
beforeAll(async () => {
  await writeFile(join(cwd, 'dev.tsv'), mislabeled(16))
  await Promise.all(
    (['often', 'accumulated'] as const).map(async (variant) => {
      const { code, stderr, moments } = await trainOnce(runIn(variant, variant), false, null)
      expect([code, stderr.replaceAll(/^warning: step .*\n/gm, '')]).toEqual([0, ''])
      uninterrupted[variant] = { remains: await remains(runIn(variant, variant)), moments }
    }),
  )
})

/** A moment that may come anywhere in what is left of the run. */
const anywhere =
  (variant: keyof typeof variants, draw: number) =>
  (done: number): Moment => {
    const moments = uninterrupted[variant]?.moments ?? []
    const left = moments.length - 1 - moments.indexOf(`rename ${file(done)}`)
    return `${1 + Math.floor((uniforms(SEED, 'order', draw, 1)[0] ?? 0) * 0.8 * left)} *`
  }

/** Seconds on an idle machine; a chain of nine processes has to wait its turn on a busy one. */
const timeout = 900_000

describe.concurrent('a killed or interrupted run with --resume', { timeout }, () => {
  it.each<readonly [string, keyof typeof variants, readonly (Moment | ((done: number) => Moment))[]]>([
    [
      'in the first half: before there is a checkpoint, in its rename, an evaluation, the window or a half-written save, after T_end',
      'often',
      [
        '1 rename run/config.json',
        `1 rename ${file(3)}.sha256`,
        `1 rename ${file(3)}`,
        '2 evaluation',
        '3 gated step',
        `1 write ${file(15)} (temporary)`,
        `1 open ${file(21)}.sha256 (temporary)`,
      ],
    ],
    [
      'in the second half: in a clean-up, in an evaluation, in the last save, in the adapter, in the result',
      'often',
      [
        `1 unlink ${file(9)}`,
        '6 evaluation',
        '1 write run/metrics.jsonl',
        `1 rename ${file(steps)}`,
        `1 unlink ${file(27)}`,
        '1 write adapter/adapter_model.safetensors (temporary)',
        '1 rename adapter/adapter_config.json',
        '1 rename run/result.json',
      ],
    ],
    ...[0].map(
      (first) =>
        [
          `at random moments, draws ${first} to ${first + 3}`,
          'often' as const,
          [0, 1, 2, 3].map((i) => anywhere('often', first + i)),
        ] as const,
    ),
    [
      'at random moments, with accumulated batches, float64 and a save at each evaluation',
      'accumulated',
      [20, anywhere('accumulated', 16), 12, anywhere('accumulated', 17), anywhere('accumulated', 18), anywhere('accumulated', 19)],
    ],
  ])('SIGKILL loses nothing %s', async (name, variant, moments) => {
    const run = runIn(name.replaceAll(/\W+/g, '-').slice(0, 40) + variant, variant)
    const processes = await killAgainAndAgain(run, moments)
    expect(processes.map(({ signal, code }) => signal ?? code)).toEqual([...moments.map(() => 'SIGKILL'), 0])
    expect(await remains(run)).toEqual(uninterrupted[variant]?.remains)
  })

  it('Ctrl-C loses nothing, and its extra evaluation leaves no trace', async () => {
    const run = runIn('interrupted')
    const processes = await killAgainAndAgain(run, [{ interruptAfter: 14 }, { interruptAfter: 70 }])
    expect(processes.map(({ code }) => code)).toEqual([130, 130, 0])
    expect(await remains(run)).toEqual(uninterrupted['often']?.remains)
  })

  it('--resume does not repeat an evaluation before the first step', async () => {
    const output = join(cwd, 'start')
    const options: RunOptions = {
      model: join(cwd, 'tiny'),
      task: { task: join(cwd, 'toy.tsv') },
      output,
      resume: false,
      settings: resolveSettings({ maxSteps: 4, maxLength: 16, device: 'cpu' }),
    }
    const evaluations = async (runOptions: RunOptions, until: (step: number) => boolean): Promise<readonly number[]> => {
      const steps: number[] = []
      for await (const event of finetuneJob(runOptions, new AbortController().signal)) {
        if (event.kind === 'evaluation') steps.push(event.step)
        if (event.kind === 'step' && until(event.step)) return steps // no more is asked of the run: it stops where it is
      }
      return steps
    }
    expect(await evaluations({ ...options, evalOnStart: true }, (step) => step === 1)).toEqual([0])
    expect(await evaluations({ ...options, resume: true }, () => false)).toEqual([0, 2, 4])
  })
})

describe('the uninterrupted run', () => {
  it('has everything that a resumed run could lose: a best step before the last, gates, pruning, several evaluations', async () => {
    const result = JSON.parse(await readFile(join(outputOf(runIn('often')), 'result.json'), 'utf8')) as Record<
      string,
      Record<string, number>
    >
    expect(result['best']?.['step']).toBeLessThan(result['last']?.['step'] ?? 0)
    expect(Object.keys(result['orthogonality'] ?? {}).length).toBeGreaterThan(10)
    expect(result['last']?.['scores']).toBeDefined()
    expect(uninterrupted['often']?.moments.filter((moment) => moment === 'gated step')).toHaveLength(8)
  })
})

describe.concurrent('a damaged checkpoint', { timeout }, () => {
  const damage = {
    'a flipped byte': async (path: string) => {
      const bytes = await readFile(path)
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 4
      await writeFile(path, bytes)
    },
    'an end that is missing': async (path: string) => truncate(path, 20_000),
    'nothing in it': async (path: string) => truncate(path, 0),
  }
  /** after step 18, with checkpoints of 15 and 18 */
  const stopped = (): Killable => runIn('stopped')
  beforeAll(async () => {
    expect((await trainOnce(stopped(), false, `1 open ${file(21)}.sha256 (temporary)`)).signal).toBe('SIGKILL')
    expect((await readdir(join(outputOf(stopped()), 'checkpoints'))).filter((name) => name.endsWith('.safetensors'))).toEqual(
      [15, 18].map((step) => file(step).slice('checkpoints/'.length)),
    )
  })
  const copied = async (name: string): Promise<Killable> => {
    const run = runIn(name.replaceAll(' ', '-'))
    await cp(stopped().folder, run.folder, { recursive: true })
    return run
  }
  const withoutDamaged = async (run: Killable) =>
    Object.fromEntries(Object.entries(await remains(run)).filter(([name]) => !name.endsWith('.damaged')))

  it.each(Object.entries(damage))(
    'a checkpoint with %s is renamed .damaged, and the previous one gives the same result',
    async (name, harm) => {
      const run = await copied(name)
      await harm(join(outputOf(run), file(18)))
      const { code, stderr, moments } = await trainOnce(run, true, null)
      expect(code).toBe(0)
      expect(stderr).toMatch(
        /^warning: run\/checkpoints\/step-000000018\.safetensors: expected the checksum [0-9a-f]{64}, got [0-9a-f]{64}; renamed to run\/checkpoints\/step-000000018\.safetensors\.damaged\n/,
      )
      expect(moments.filter((moment) => moment.includes('step'))[0]).toBe('rename checkpoints/step-000000018.safetensors.damaged')
      expect(moments.filter((moment) => /^(gated )?step$/.test(moment))).toHaveLength(steps - 15)
      expect(await withoutDamaged(run)).toEqual(uninterrupted['often']?.remains)
    },
  )

  it('next to another damaged one ends --resume, and nothing is renamed', async () => {
    const run = await copied('both')
    for (const step of [15, 18]) await damage['a flipped byte'](join(outputOf(run), file(step)))
    const before = await remains(run)
    const { code, stderr } = await trainOnce(run, true, null)
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^run\/checkpoints: expected an intact checkpoint \(to start over, choose a new --output\), got 2 corrupt and no other: .*\n$/,
    )
    expect(await remains(run)).toEqual(before)
  })

  it('a checkpoint with a damaged checksum is renamed .damaged, with its bytes unchanged', async () => {
    const run = await copied('checksum')
    const before = await readFile(join(outputOf(run), file(18)))
    await writeFile(join(outputOf(run), `${file(18)}.sha256`), 'nothing\n')
    expect((await trainOnce(run, true, null)).stderr).toContain('expected the checksum nothing, got ')
    expect(await readFile(join(outputOf(run), `${file(18)}.damaged`))).toEqual(before)
  })
})
