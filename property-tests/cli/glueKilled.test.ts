/** A sweep whose process, or whose runs' processes, are killed or stopped: nothing is lost, and nothing keeps running. */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { stopRunProcess } from '../../reporting/board/runProcess.js'
import { sweepLine, sweepView } from '../../reporting/board/views.js'
import { openWatch } from '../../reporting/board/watch.js'
import type { RunResult } from '../../finetuning/run/run.js'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { tableLine } from '../../evaluation/glue/sweepTableText.js'
import { salora } from './spawnSalora.js'
import { sweep, sweepFolder, timelessTable } from './sweepFolder.js'

const root = sweepFolder()

describe('salora glue', () => {
  it('writes the same table whether it was killed and resumed or not', async () => {
    const uninterrupted = await salora(sweep('whole', '--json', '--quiet'), { cwd: root })
    expect([uninterrupted.code, uninterrupted.stderr]).toEqual([0, ''])
    const result = JSON.parse(uninterrupted.stdout) as GlueSweepResult
    expect([result.cells, result.done, result.failed]).toEqual([4, 4, []])
    expect(result.table.rows.map(({ name, cells }) => [name, cells[0]?.summary?.count])).toEqual([
      ['lora', 2],
      ['salora', 2],
    ])
    expect(result.table.rows[1]?.cells[0]?.retained).toBeCloseTo(0.5, 1)

    const killed = await salora(sweep('killed'), {
      cwd: root,
      onError: (text, child) => (text.includes('seed-0: ') ? child.kill('SIGKILL') : undefined),
    })
    expect(killed.signal).toBe('SIGKILL')
    // a board knows the cells that have no folder yet, and makes the table that the sweep itself made
    const watch = openWatch(root)
    await watch.refresh()
    const [whole0, killed0] = ['whole', 'killed'].map((name) => [...watch.sweeps().values()].find((one) => one.name === name))
    if (whole0 === undefined || killed0 === undefined) throw new Error('expected both sweeps')
    expect(sweepView(whole0).table?.rows.map((row) => row.slice(1))).toEqual(result.table.rows.map((row) => tableLine(row).slice(1)))
    const { counts, cells, isRunning } = sweepLine(killed0)
    expect([cells, isRunning, counts.finished + counts.waiting + counts.crashed]).toEqual([4, false, 4])
    expect([counts.finished, counts.waiting].map((count) => count > 0)).toEqual([true, true])

    const rest = await salora(sweep('killed', '--jobs', '2', '--json'), { cwd: root })
    expect(rest.code).toBe(0)
    expect(rest.stderr).toContain('already done')
    expect(timelessTable(rest.stdout)).toEqual(timelessTable(uninterrupted.stdout))

    const more = await salora([...sweep('whole'), '--seeds', '3'], { cwd: root })
    expect(more.stdout).toContain('6 of 6 runs done')
    expect(more.stderr.match(/: already done/g)?.length).toBe(4)
    expect(await readFile(join(root, 'whole/table.md'), 'utf8')).toMatch(
      /^methods by tasks; tiny; 3 seeds; last evaluation on dev; .*\n\n\| {2}\| parameters \| head \| cola \(matthews\) \|/,
    )
  }, 120_000)
})

/** The processes that make cells of this test's own sweeps, by the folder that each works in. */
const cellProcesses = async (): Promise<readonly number[]> => {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const processIds = await Promise.all(
    numbers.map(async (pid) => {
      const [words, cwd] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ])
      return words.includes('jobProcess.js') && cwd === (await realpath(root)) ? [Number(pid)] : []
    }),
  )
  return processIds.flat()
}
const long = ['--epochs', '100000', '--methods', 'lora', '--seeds', '2']

describe.skipIf(process.platform !== 'linux')('the process of each run of a sweep (on Linux)', () => {
  const begun = async (name: string): Promise<string> => {
    const folder = join(root, name, 'cells/cola.lora.seed-0')
    await expect.poll(() => readFile(join(folder, 'metrics.jsonl'), 'utf8').catch(() => '')).toContain('"step":3')
    return folder
  }

  it('can be killed without harm to the others: the run is reported as failed, with the signal', async () => {
    const sweeping = salora(sweep('shot', ...long, '--max-steps', '400', '--json', '--quiet'), { cwd: root })
    await begun('shot')
    const [pid = 0] = await cellProcesses()
    process.kill(pid, 'SIGKILL')
    const { code, stdout, stderr } = await sweeping
    expect(code).toBe(1)
    const { done, failed } = JSON.parse(stdout) as GlueSweepResult
    expect([done, failed]).toEqual([1, [{ cell: 'cola.lora.seed-0', attempts: 1, message: expect.stringMatching(/got SIGKILL \(/) }]])
    expect(stderr).toMatch(
      /^warning: cola\.lora\.seed-0 failed \(1 attempt\): the run's process: expected a process that ends by itself, got SIGKILL[^\n]*\n$/,
    )
    const rest = await salora(sweep('shot', ...long, '--max-steps', '400', '--json', '--quiet'), { cwd: root })
    expect([rest.code, (JSON.parse(rest.stdout) as GlueSweepResult).done]).toEqual([0, 2])
  }, 120_000)

  it('can be stopped by a board: the run is saved, and the sweep continues with the others', async () => {
    const sweeping = salora(sweep('stopped', ...long, '--max-steps', '1000', '--json'), { cwd: root })
    const folder = await begun('stopped')
    await expect.poll(() => stopRunProcess(folder)).toMatchObject({ command: 'cell' })
    const { code, stdout } = await sweeping
    const { done, failed } = JSON.parse(stdout) as GlueSweepResult
    expect([code, done, failed]).toEqual([0, 1, []])
    const saved = JSON.parse(await readFile(join(folder, 'result.json'), 'utf8')) as RunResult
    expect(saved.interrupted).toBe(true)
    expect(saved.stepsDone).toBeLessThan(1000)
  }, 120_000)

  it('ends when the sweep is killed, and saves when the sweep is stopped', async () => {
    const killed = await salora(sweep('gone', ...long, '--max-steps', '100000'), {
      cwd: root,
      onStart: (child) => void begun('gone').then(() => child.kill('SIGKILL')),
    })
    expect(killed.signal).toBe('SIGKILL')
    await expect.poll(cellProcesses).toEqual([])
    const stepsWritten = async (): Promise<number> =>
      (await readFile(join(root, 'gone/cells/cola.lora.seed-0/metrics.jsonl'), 'utf8').catch(() => '')).split('\n').length
    const before = await stepsWritten()
    const stopped = await salora(sweep('gone', ...long, '--max-steps', '100000'), {
      cwd: root,
      onStart: (child) =>
        void expect
          .poll(stepsWritten)
          .toBeGreaterThan(before)
          .then(() => child.kill('SIGINT')),
    })
    expect([stopped.code, stopped.signal]).toEqual([130, null])
    expect(await cellProcesses()).toEqual([])
    const { interrupted } = JSON.parse(await readFile(join(root, 'gone/cells/cola.lora.seed-0/result.json'), 'utf8')) as RunResult
    expect(interrupted).toBe(true)
  }, 120_000)
})
