/** Runs of the command line that are killed at named moments and resumed, and their files, which must not depend on that. */
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { salora, type Finished } from './spawnSalora.js'
import { sharedTexts, shortWindow } from './toyTask.js'

/** killPoints.ts as built */
const killPoints = fileURLToPath(new URL('../../dist/property-tests/cli/killPoints.js', import.meta.url))

/** A moment by its name and count since the process began (see killPoints.ts). A number of moments instead means a kill from outside, or a Ctrl-C, after that many. */
export type Moment = string | number | { readonly interruptAfter: number }

export type Killable = {
  /** the parent of `run`, the run's folder; the model and the data are beside this folder */
  readonly folder: string
  readonly settings: readonly string[]
}

export const outputOf = ({ folder }: Killable): string => join(folder, 'run')

/** Runs `salora train`, with the same flags each time. @returns how it ended, what it said but for the shortness of its window, and the moments it went through */
export const trainOnce = async (
  { folder, settings }: Killable,
  resume: boolean,
  moment: Moment | null,
): Promise<Finished & { readonly moments: readonly string[] }> => {
  await mkdir(folder, { recursive: true })
  const trace = join(folder, `trace-${process.hrtime.bigint()}`)
  const args = [
    ...'train --model ../tiny --task ../toy.tsv --eval-data ../dev.tsv --method salora --max-length 16 --device cpu'.split(' '),
    ...'--output run --quiet'.split(' '),
    ...settings,
  ]
  const finished = await salora([...args, ...(resume ? ['--resume'] : [])], {
    cwd: folder,
    nodeArguments: ['--import', killPoints],
    environment: { KILL_TRACE: trace, ...(typeof moment === 'string' ? { KILL_AT: moment } : {}) },
    ...(moment === null || typeof moment === 'string' ? {} : { onStart: (child) => signalAfter(child, trace, moment) }),
  })
  return {
    ...finished,
    stderr: finished.stderr.replace(sharedTexts, '').replace(shortWindow, ''),
    moments: existsSync(trace) ? linesOf(trace) : [],
  }
}

const linesOf = (file: string): readonly string[] => readFileSync(file, 'utf8').split('\n').slice(0, -1)

const signalAfter = (child: ChildProcess, trace: string, moment: number | { readonly interruptAfter: number }): void => {
  const [signal, moments] = typeof moment === 'number' ? ['SIGKILL' as const, moment] : ['SIGINT' as const, moment.interruptAfter]
  const polling = setInterval(() => {
    if (!existsSync(trace) || linesOf(trace).length < moments) return
    clearInterval(polling)
    child.kill(signal)
  }, 2)
  child.once('exit', () => clearInterval(polling))
}

const wallClock = /"(tokensPerSecond|seconds|peakMemoryBytes|finishedAt)": ?[^,}\n]+/g

/** Everything that a run leaves, byte for byte, without its three measures of time and memory. */
export const remains = async (run: Killable): Promise<Readonly<Record<string, string>>> => {
  const output = outputOf(run)
  const names = (await readdir(output, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(output.length + 1))
  return Object.fromEntries(
    await Promise.all(
      names.sort().map(async (name) => {
        const bytes = await readFile(join(output, name))
        return [
          name,
          /^(metrics\.jsonl|result\.json)$/.test(name)
            ? bytes.toString().replaceAll(wallClock, '"$1": …')
            : createHash('sha256').update(bytes).digest('hex'),
        ] as const
      }),
    ),
  )
}

/** Kills the run at one moment after another, resuming in between, then lets it end. A moment may depend on what is left of the run. */
export const killAgainAndAgain = async (
  run: Killable,
  moments: readonly (Moment | ((done: number) => Moment))[],
): Promise<readonly (Finished & { readonly moments: readonly string[] })[]> => {
  const killed = []
  for (const [i, moment] of moments.entries()) {
    const finished = await trainOnce(run, i > 0, typeof moment === 'function' ? moment(await lastStep(run)) : moment)
    killed.push(finished)
    if (finished.code === 0) return killed
  }
  return [...killed, await trainOnce(run, true, null)]
}

const lastStep = async (run: Killable): Promise<number> =>
  Math.max(
    0,
    ...(await readdir(join(outputOf(run), 'checkpoints')).catch(() => [])).map((name) =>
      Number(/^step-(\d+)\.safetensors$/.exec(name)?.[1] ?? 0),
    ),
  )
