/** Watching a folder: each status that `salora train` leaves, the numbers of the files, and damaged or foreign files. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdir, readFile, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { runLine, runView, sweepLine, sweepView } from '../../reporting/board/views.js'
import { openWatch, type Watch } from '../../reporting/board/watch.js'
import type { WatchedRun } from '../../reporting/board/watchRun.js'
import { writeRun } from '../property/reporting/reportRuns.js'
import { program } from '../cli/spawnSalora.js'
import { toyFolder, toyTrain } from '../cli/toyFolder.js'
import { killedAfterEach } from '../support/childProcesses.js'

const cwd = toyFolder('board')
const at = (...path: readonly string[]): string => join(cwd, ...path)

const tracked = killedAfterEach()
const train = (output: string, ...more: readonly string[]): ChildProcess => {
  const args = [...toyTrain, '--batch-size', '4', '--threads', '1', '--output', output, '--quiet', ...more]
  return tracked(spawn(process.execPath, [program, ...args], { cwd, stdio: 'ignore' }))
}
const runIn = (watch: Watch, name: string): WatchedRun | undefined => [...watch.runs().values()].find((run) => run.name === name)
/** Refreshes until the run fulfills the condition. */
const until = async (watch: Watch, name: string, isFulfilled: (run: WatchedRun) => boolean): Promise<WatchedRun> => {
  for (let i = 0; i < 600; i++) {
    await watch.refresh()
    const run = runIn(watch, name)
    if (run !== undefined && isFulfilled(run)) return run
    await pause(50)
  }
  throw new Error(`${name}: expected another status, got ${runIn(watch, name)?.status}`)
}
const lastStep = async (run: string): Promise<Readonly<Record<string, unknown>>> => {
  const lines = (await readFile(at(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>).findLast(({ kind }) => kind === 'step') ?? {}
}

describe('a run of salora train', () => {
  it('is running, crashed after a kill, running again, interrupted and finished, with the numbers of its files', async () => {
    await mkdir(at('runs'))
    const watch = openWatch(at('runs'))
    await watch.refresh()
    expect([...watch.runs()]).toEqual([]) // the board may start first

    const long = ['--max-steps', '100000', '--save-steps', '50', '--eval-steps', '40']
    const first = train('runs/one', ...long)
    const running = await until(watch, 'one', ({ status, metrics }) => status === 'running' && metrics.step > 60 && metrics.last !== null)
    expect([running.steps, running.reason]).toEqual([100_000, null])
    expect(running.secondsLeft).toBeGreaterThan(0)
    first.kill('SIGKILL')
    await once(first, 'exit')
    const crashed = await until(watch, 'one', ({ status }) => status === 'crashed')
    const line = await lastStep('runs/one')
    expect([crashed.metrics.step, crashed.metrics.loss, crashed.metrics.tokensPerSecond]).toEqual([
      line['step'],
      line['taskLoss'],
      line['tokensPerSecond'],
    ])
    expect([crashed.secondsLeft, crashed.reason]).toEqual([null, expect.stringMatching(/^process \d+ on .* is gone; --resume continues/)])

    const second = train('runs/one', ...long, '--resume')
    await until(watch, 'one', ({ status, metrics }) => status === 'running' && metrics.step > crashed.metrics.step)
    second.kill('SIGINT')
    await once(second, 'exit')
    const interrupted = await until(watch, 'one', ({ status }) => status === 'interrupted')
    expect(runLine(interrupted).step).toBe((await lastStep('runs/one'))['step'])
    expect(runView(interrupted, null).resume).toBe(`salora train --resume --output ${at('runs/one')}`)

    const short = train('runs/two', '--max-steps', '12', '--eval-steps', '4')
    await once(short, 'exit')
    const finished = await until(watch, 'two', ({ status }) => status === 'finished')
    const result = JSON.parse(await readFile(at('runs/two/result.json'), 'utf8')) as {
      readonly best: { readonly scores: { readonly accuracy: number } }
    }
    expect(runLine(finished)).toMatchObject({
      step: 12,
      steps: 12,
      secondsLeft: null,
      loss: (await lastStep('runs/two'))['taskLoss'],
      score: { metric: 'accuracy', value: result.best.scores.accuracy, evaluation: 'best' },
    })
  })

  it('is failed after an error, and is running on another machine while its lock is renewed', async () => {
    await writeRun(at('states/failed'), {})
    await rm(at('states/failed/result.json'))
    const lock = { host: 'elsewhere', boot: 'another', numbers: 'pid:[1]', pid: 5, born: '1', thread: 1 }
    await cp(at('states/failed'), at('states/elsewhere'), { recursive: true })
    await writeFile(at('states/elsewhere/lock-0123456789ab.json'), JSON.stringify(lock))
    await mkdir(at('states/starts/checkpoints'), { recursive: true })
    await writeFile(at('states/starts/lock-0123456789ab.json'), JSON.stringify(lock))
    const watch = openWatch(at('states'))
    await watch.refresh()
    expect(runIn(watch, 'failed')).toMatchObject({ status: 'failed', reason: 'it ended with an error; see the output of its process' })
    expect(runIn(watch, 'elsewhere')).toMatchObject({ status: 'running', reason: 'on elsewhere' })
    expect(runIn(watch, 'starts')?.status).toBe('running')
  })
})

describe('a folder that changes under the board', () => {
  it('shows all other runs when a run appears, is deleted, is truncated or is damaged', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await writeRun(at('changing', name), { steps: 20 })
    for (const name of ['b', 'c', 'd']) await rm(at('changing', name, 'result.json'))
    const watch = openWatch(at('changing'))
    await watch.refresh()
    expect(['a', 'b'].map((name) => runLine(runIn(watch, name) as WatchedRun).step)).toEqual([20, 20])

    await rm(at('changing/a'), { recursive: true })
    const complete = await readFile(at('changing/b/metrics.jsonl'), 'utf8')
    const fifth = complete.split('\n').slice(0, 5).join('\n').length + 1
    await truncate(at('changing/b/metrics.jsonl'), fifth)
    await appendFile(at('changing/c/metrics.jsonl'), 'no JSON\n{"kind":"step","step":21,"taskLoss":0.125}\n{"kind":"step","step":2')
    await writeFile(at('changing/d/config.json'), '{"formatVersion": 2, "model": 3, "task": {}, "settings": {}}')
    await writeRun(at('changing/e'), {})
    await writeRun(at('changing/f'), {})
    await writeFile(at('changing/f/config.json'), JSON.stringify({ model: 'x'.repeat(2_000_001) }))
    for (let i = 0; i < 4; i++) await watch.refresh() // idle runs are refreshed every fourth time
    expect([...watch.runs().values()].map(({ name, status, metrics: { step } }) => [name, status, step])).toEqual([
      ['b', 'failed', 5],
      ['c', 'failed', 21],
      ['d', 'unreadable', 20],
      ['e', 'finished', 4],
      ['f', 'finished', 4],
    ])
    expect(runIn(watch, 'f')?.reason).toMatch(/config\.json: expected at most 2000000 bytes to be shown on a board, got 2000013$/)
    expect(runIn(watch, 'c')?.metrics).toMatchObject({ loss: 0.125, invalidLines: 1 })
    expect(runIn(watch, 'd')?.reason).toMatch(/config\.json: expected the config\.json of a run whose model is a text, got 3$/)

    await rename(at('changing'), at('moved'))
    await watch.refresh()
    expect([watch.runs().size, watch.problem()]).toEqual([0, `${at('changing')} no longer exists`])
  })

  it('does not follow links', async () => {
    await writeRun(at('outside/run'), { accuracy: 0.123 })
    await mkdir(at('linked/inner'), { recursive: true })
    await symlink(at('outside/run'), at('linked/run'))
    await mkdir(at('linked/sweep/cells'), { recursive: true })
    await symlink(at('outside/run'), at('linked/sweep/cells/away'))
    await writeRun(at('linked/own'), {})
    await rm(at('linked/own/result.json'))
    await symlink(at('outside/run/result.json'), at('linked/own/result.json'))
    await rm(at('linked/own/metrics.jsonl'))
    await symlink(at('outside/run/metrics.jsonl'), at('linked/own/metrics.jsonl'))
    const watch = openWatch(at('linked'))
    await watch.refresh()
    const lines = [...watch.runs().values()].map(runLine)
    expect(lines).toMatchObject([{ name: 'own', status: 'unreadable', step: 0, score: null }])
    expect(JSON.stringify(lines)).not.toContain('0.123')
  })
})

describe('a sweep', () => {
  const cells = ['lora', 'salora'].flatMap((row) => [0, 1].map((seed) => ({ id: `mrpc.${row}.seed-${seed}`, row, task: 'mrpc', seed })))
  const plan = { sweep: 'table1', title: 'methods by tasks', reported: 'last', baseline: 'lora', paper: null, stage: 'table', cells }

  it('has its cells by status, including cells without a folder, and the table of the finished ones', async () => {
    await mkdir(at('sweeps/one/failures'), { recursive: true })
    await writeFile(at('sweeps/one/plan.json'), JSON.stringify(plan))
    await writeRun(at('sweeps/one/cells/mrpc.lora.seed-0'), { method: 'lora', accuracy: 0.75 })
    await writeRun(at('sweeps/one/cells/mrpc.salora.seed-0'), { accuracy: 0.875 })
    await writeRun(at('sweeps/one/cells/mrpc.lora.seed-1'), { method: 'lora' })
    await rm(at('sweeps/one/cells/mrpc.lora.seed-1/result.json'))
    await writeFile(at('sweeps/one/failures/mrpc.lora.seed-1.json'), JSON.stringify({ message: 'no memory', attempts: 2 }))
    const oldLock = at('sweeps/one/cells/mrpc.lora.seed-1/lock-0123456789ab.json')
    await writeFile(oldLock, JSON.stringify({ host: 'x', boot: 'x', numbers: null, pid: 5, born: null, thread: 0 }))
    await utimes(oldLock, 1, 1)
    const watch = openWatch(at('sweeps'))
    await watch.refresh()
    const [sweep] = [...watch.sweeps().values()]
    if (sweep === undefined) throw new Error('expected a sweep')
    expect(sweepLine(sweep)).toMatchObject({
      name: 'one',
      isRunning: false,
      cells: 4,
      counts: { finished: 2, failed: 1, waiting: 1, running: 0 },
    })
    const view = sweepView(sweep)
    expect(view.cells.map(({ name, status, reason }) => [name, status, reason])).toEqual([
      ['mrpc.lora.seed-0', 'finished', null],
      ['mrpc.lora.seed-1', 'failed', 'no memory (attempt 2)'],
      ['mrpc.salora.seed-0', 'finished', null],
      ['mrpc.salora.seed-1', 'waiting', null],
    ])
    expect(view.table?.rows.map(([row, , , cell]) => [row, cell])).toEqual([
      ['lora', '75.00 (1 failed)'],
      ['salora', '87.50, kept 0.50'],
    ])
  })

  it('a sweep with a damaged plan shows its runs and one line about the plan', async () => {
    await mkdir(at('sweeps/two'), { recursive: true })
    await writeFile(at('sweeps/two/plan.json'), JSON.stringify({ ...plan, cells: [{ ...cells[0], id: '../../etc' }] }))
    await writeRun(at('sweeps/two/cells/x.seed-0'), {})
    const watch = openWatch(at('sweeps'))
    await watch.refresh()
    const sweep = [...watch.sweeps().values()].find(({ name }) => name === 'two')
    expect(sweep === undefined ? null : sweepLine(sweep)).toMatchObject({
      problem: expect.stringMatching(/plan\.json: expected the plan of a sweep whose cells\.0\.id is /),
      cells: 1,
    })
  })
})
